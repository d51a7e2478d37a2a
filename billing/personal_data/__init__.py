"""Exports, transfers and erases a person's billing data."""
