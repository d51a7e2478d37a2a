"""Models: which there are, how a prompt is built, how one is called."""
