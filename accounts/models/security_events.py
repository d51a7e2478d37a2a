"""The record of what happened to people's accounts."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class SecurityEvent(models.Model):
    """What happened to somebody's account, for them and for operators to see. Append-only.

    Triggers of the database (migrations security_events_append_only and leaving) refuse to change
    an event, to delete one as long as its person exists, and to delete one that says DELETED.
    A change of this table that makes SQLite rebuild it (AlterField, ...) must make them again.
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

    # No constraint: the record outlives the person.
    person = models.ForeignKey(
        "accounts.User",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="security_events",
    )
    kind = models.CharField(max_length=24, choices=Kind)
    at = models.DateTimeField(auto_now_add=True)
    # Empty when it was not done by a request of the person's own.
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    # A reason, the name of a service: never a secret, never an address of somebody else.
    note = models.CharField(max_length=500, blank=True)
    # The operator, when one did it.
    operator_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["person", "-at"], name="security_event_of_person"),
            models.Index(fields=["-at"], name="security_event_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.person_id})"
