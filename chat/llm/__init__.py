"""Models: the catalogue, prompts, and the client that calls them."""
