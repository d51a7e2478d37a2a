"""Processes of one machine: prepared, started, watched, replaced and stopped."""
