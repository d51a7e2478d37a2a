"""Signing in with allauth: adapters, limits, texts of its forms, and views that need it."""
