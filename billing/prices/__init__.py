"""Prices of models: their versions, and the lists they come from."""
