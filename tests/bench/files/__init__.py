"""Measures files: how soon they are ready and seen, and what reading them costs."""
