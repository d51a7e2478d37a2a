"""People's own keys of model providers."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ProviderKey(models.Model):
    """A person's own key of a model provider, encrypted: see accounts/provider_keys/store.py.

    The key is stored nowhere else, and only `last_four` of it is ever shown.
    """

    class Status(models.TextChoices):
        OK = "ok", _("Works")
        INVALID = "invalid", _("Not accepted")
        REVOKED = "revoked", _("Revoked")
        FORBIDDEN = "forbidden", _("Account blocked")
        OUT_OF_QUOTA = "out_of_quota", _("No credit left")
        BUSY = "busy", _("Limited for now")
        UNREACHABLE = "unreachable", _("Not reachable")
        WRONG_URL = "wrong_url", _("Wrong address")
        NOT_ALLOWED = "not_allowed", _("Address not allowed")
        UNREADABLE = "unreadable", _("Cannot be read")

    class Check(models.TextChoices):
        NONE = "", _("none")
        LIST = "list", _("its models")
        FULL = "full", _("everything")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        "accounts.User", on_delete=models.CASCADE, related_name="provider_keys"
    )
    provider = models.CharField(max_length=16)
    # Both are empty except for custom providers; a person may have several of those.
    label = models.CharField(max_length=60, blank=True)
    base_url = models.CharField(max_length=300, blank=True)
    last_four = models.CharField(max_length=4, blank=True)
    key_version = models.PositiveSmallIntegerField()
    nonce = models.BinaryField(max_length=12)
    ciphertext = models.BinaryField()
    # The provider's list of models, trimmed: accounts/provider_keys/model_documents.py.
    model_list = models.JSONField(default=list)
    model_list_read_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.OK)
    checked_at = models.DateTimeField(default=timezone.now)
    # The check that a worker should make, and until when a worker has claimed it.
    check_wanted = models.CharField(max_length=4, choices=Check, default=Check.NONE, blank=True)
    check_claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner", "provider"],
                condition=~models.Q(provider="custom"),
                name="provider_key_one_of_each",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["check_wanted"],
                condition=~models.Q(check_wanted=""),
                name="provider_key_to_check",
            ),
            models.Index(fields=["key_version", "id"], name="provider_key_by_version"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} key of {self.owner_id}"
