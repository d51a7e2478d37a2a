"""People in the admin. Importing it registers it."""

from accounts.admin import home, people, sign_ins

__all__ = ["home", "people", "sign_ins"]
