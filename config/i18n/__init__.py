"""Languages and catalogues of texts."""
