"""Signing in with allauth: its adapters, limits, and what its forms say."""
