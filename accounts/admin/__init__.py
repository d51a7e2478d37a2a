"""People in the admin. Importing it registers it."""

from accounts.admin import people, sign_ins

__all__ = ["people", "sign_ins"]
