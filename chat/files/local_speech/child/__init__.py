"""The process of local speech."""
