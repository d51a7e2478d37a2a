"""Prices of models: versions, and the lists they come from."""
