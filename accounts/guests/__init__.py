"""Guests: how visitors become guests, and how guests become accounts, join accounts or expire."""
