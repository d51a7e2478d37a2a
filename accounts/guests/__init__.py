"""Guests: visitors who chat, become accounts, join accounts, and expire."""
