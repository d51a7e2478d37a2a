"""Starts a process with limits, which reads what a stranger sent."""
