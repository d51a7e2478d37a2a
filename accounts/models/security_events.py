"""The record of security events of accounts."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class SecurityEvent(models.Model):
    """Something that happened to an account, visible to its owner and to operators. Append-only.

    Database triggers (migrations security_events_append_only and leaving) refuse to update an
    event, to delete one while its person exists, and to delete one of kind DELETED. A migration
    that makes SQLite rebuild this table (AlterField, ...) must create the triggers again.
    """

    class Kind(models.TextChoices):
        SIGNED_IN = "signed_in", _("Signed in")
        SIGN_IN_FAILED = "sign_in_failed", _("Sign-in failed")
        SIGNED_OUT = "signed_out", _("Signed out")
        SIGNED_UP = "signed_up", _("Account made")
        SESSION_REVOKED = "session_revoked", _("Session ended")
        PASSWORD_CHANGED = "password_changed", _("Password changed")
        PASSWORD_RESET = "password_reset", _("Password reset")
        EMAIL_CHANGED = "email_changed", _("Email address changed")
        SECOND_FACTOR_ADDED = "second_factor_added", _("Second factor added")
        SECOND_FACTOR_REMOVED = "second_factor_removed", _("Second factor removed")
        SECOND_FACTOR_RESET = "second_factor_reset", _("Recovery codes renewed")
        LOGIN_CONNECTED = "login_connected", _("Sign-in service connected")
        LOGIN_DISCONNECTED = "login_disconnected", _("Sign-in service disconnected")
        KEY_ADDED = "key_added", _("Provider key added")
        KEY_REMOVED = "key_removed", _("Provider key removed")
        SUSPENDED = "suspended", _("Suspended by an operator")
        RESTORED = "restored", _("Restored by an operator")
        DELETION_ASKED = "deletion_asked", _("Deletion asked for")
        DELETION_CANCELLED = "deletion_cancelled", _("Deletion called off")
        DELETED = "deleted", _("Account deleted")

    # No constraint, because the record outlives the person.
    person = models.ForeignKey(
        "accounts.User",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="security_events",
    )
    kind = models.CharField(max_length=24, choices=Kind)
    at = models.DateTimeField(auto_now_add=True)
    # Both are empty if the event was not caused by a request of the person.
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    # Such as a reason or the name of a service; never a secret or somebody else's address.
    note = models.CharField(max_length=500, blank=True)
    # The operator who caused the event, if one did.
    operator_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["person", "-at"], name="security_event_of_person"),
            models.Index(fields=["-at"], name="security_event_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.person_id})"
