"""A person's pages about money and usage."""
