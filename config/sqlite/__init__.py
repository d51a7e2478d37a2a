"""Django's database backend for SQLite, with writers that queue (settings.DATABASES)."""
