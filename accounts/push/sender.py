"""Sends Web Push messages: encrypted for one browser (RFC 8291), signed with our key (RFC 8292),
and handed to the push service of the browser's maker, which cannot read them.

A message is sent once. If the push service is unreachable or busy, it is lost: it only says that
something can be read.
"""

import logging
import uuid
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.conf import settings
from webpush import WebPush, WebPushSubscription
from webpush.types import WebPushKeys

from accounts.models import PushSubscription
from accounts.provider_keys import http
from accounts.provider_keys.address_filter import OutboundError
from accounts.push.keys import private_key

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0
# How long the push service keeps a message for a device that is not reachable.
KEPT_S = 4 * 3600
TOKEN_VALID_S = 12 * 3600
MAX_TITLE_CHARS = 200
MAX_RESPONSE_BYTES = 4_000
# The subscription is gone, or it was made for another key of ours.
GONE = frozenset((401, 403, 404, 410))


def send(subscription: PushSubscription, chat_id: uuid.UUID, title: str, body: str) -> bool:
    """Send a notification about a chat. Blocks, TIMEOUT_S at most. Returns whether the subscription
    is still good."""
    content = {"chat": str(chat_id), "title": title[:MAX_TITLE_CHARS], "body": body}
    message = _pusher().get(
        orjson.dumps(content),
        WebPushSubscription(
            endpoint=subscription.endpoint,
            keys=WebPushKeys(p256dh=subscription.p256dh, auth=subscription.auth),
        ),
    )
    # A message replaces an earlier one about the same chat that was not delivered yet.
    headers = {**message.headers, "urgency": "normal", "topic": chat_id.hex}
    host = urlsplit(subscription.endpoint).hostname
    try:
        answer = http.fetch(
            subscription.endpoint,
            headers=headers,
            body=message.encrypted,
            timeout_s=TIMEOUT_S,
            guarded=False,
            max_bytes=MAX_RESPONSE_BYTES,
        )
    except OutboundError as error:
        logger.info("no push message to %s: %s", host, error)
        return True
    if answer.status >= 300:
        logger.info("%s refused a push message: %s", host, answer.status)
    return answer.status not in GONE


def _pusher() -> WebPush:
    key = private_key()
    return WebPush(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        subscriber=settings.PUSH_CONTACT,
        ttl=KEPT_S,
        expiration=TOKEN_VALID_S,
    )
