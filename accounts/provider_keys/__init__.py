"""People's own keys of model providers: stored, encrypted, probed, rotated."""
