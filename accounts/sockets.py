"""Telling the sockets of a person, on every web process: to close, or what has changed.

Each socket joins the group of its person. The message is fast and may be lost (Redis restarting);
the sure way is that each socket asks the database with its heartbeat whether it may stay, and that
whoever connects is told who they are and what they have set.
"""

import logging
import uuid
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from accounts.models import User

logger = logging.getLogger(__name__)


def group_of(person_id: uuid.UUID) -> str:
    return f"user.{person_id.hex}"


def recheck_sockets(person: User) -> None:
    """Every socket of this person looks again whether it may stay open. Sync."""
    send_to_person(person.id, {"type": "person.changed"})


def close_guest_sockets(guest: User) -> None:
    """Every socket of this guest ends at once, whichever session it was opened with: who they were
    is an account now, or part of one, and nothing of it is for who only had the visitor's cookie.
    Sync."""
    send_to_person(guest.id, {"type": "person.became"})


def notify_settings_changed(person: User) -> None:
    """Every socket of this person tells its page their name, picture and settings. Sync."""
    send_to_person(person.id, {"type": "person.set"})


def send_to_person(person_id: uuid.UUID, message: dict[str, Any]) -> None:
    """Give every socket of this person a message of the channel layer. Sync."""
    async_to_sync(send_to_group)(group_of(person_id), message)


async def send_to_group(group: str, message: dict[str, Any]) -> None:
    """Give every member of a group a message of the channel layer, which may be lost: what it tells
    of is done and stored, so nobody's request fails because Redis is away."""
    layer = get_channel_layer()
    assert layer is not None
    try:
        await layer.group_send(group, message)
    except Exception:
        # Broken connections raise more than Redis's own errors: AttributeError, for one.
        logger.warning("%s was told to nobody", message["type"], exc_info=True)
