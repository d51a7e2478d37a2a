import uuid

from django.db import models


class PushSubscription(models.Model):
    """A browser that is told of answers that end while it is closed: see accounts/push/."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        "accounts.User", on_delete=models.CASCADE, related_name="push_subscriptions"
    )
    # The name of the session that subscribed (accounts/sessions.py); it ends with the session.
    sid = models.CharField(max_length=40)
    # The secret address at the push service of the browser's maker.
    endpoint = models.CharField(max_length=1_000, unique=True)
    # The browser's public key and its secret, both in base64url: messages are encrypted for it.
    p256dh = models.CharField(max_length=100)
    auth = models.CharField(max_length=40)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"push subscription {self.id}"
