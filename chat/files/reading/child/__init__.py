"""Runs in a process of its own: a hostile file may take over a decoder."""
