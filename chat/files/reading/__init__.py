"""Reads uploaded files: what they are, and what the page and the models need of them."""
