"""People's own keys of model providers: storing, encrypting, probing and rotating them."""
