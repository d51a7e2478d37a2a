"""Measures sound, without decoding it. Runs only in the process that reads files."""
