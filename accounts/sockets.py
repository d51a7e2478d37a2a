"""Messages to all sockets of a person, on every web process, and to all workers.

Each socket joins the channel group of its person. Messages to the group are fast but may be lost,
for example while Redis restarts. So each socket also checks with its heartbeat that it may stay
open, and sends the person and their settings to the page when it connects. What workers are told
is in the database as well, where they look for it from time to time.
"""

import logging
import uuid
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from accounts.models import User

logger = logging.getLogger(__name__)

WORKERS_GROUP = "workers"


def group_of(person_id: uuid.UUID) -> str:
    return f"user.{person_id.hex}"


def recheck_sockets(person: User) -> None:
    """Make every socket of this person check again whether it may stay open. Sync."""
    send_to_person(person.id, {"type": "person.changed"})


def close_guest_sockets(guest: User) -> None:
    """Close every socket of this guest, whichever session opened it. Sync.

    The guest has become an account or joined one, and a browser that only has the visitor's cookie
    must see nothing of that account.
    """
    send_to_person(guest.id, {"type": "person.became"})


def notify_settings_changed(person: User) -> None:
    """Make every socket of this person send their name, picture and settings to its page. Sync."""
    send_to_person(person.id, {"type": "person.set"})


def send_to_person(person_id: uuid.UUID, message: dict[str, Any]) -> None:
    """Send a channel message to every socket of this person. Sync."""
    async_to_sync(send_to_group)(group_of(person_id), message)


async def send_to_group(group: str, message: dict[str, Any]) -> None:
    """Send a channel message to every member of a group.

    Never raises: the change that the message is about is stored already, so no request may fail
    because Redis is unavailable. The message is then lost.
    """
    layer = get_channel_layer()
    assert layer is not None
    try:
        await layer.group_send(group, message)
    except Exception:
        # Broken connections also raise errors that are not Redis's own, such as AttributeError.
        logger.warning("%s could not be sent", message["type"], exc_info=True)


async def send_to_workers(message: dict[str, Any]) -> None:
    """Send a channel message to every worker. Never raises; see `send_to_group`."""
    await send_to_group(WORKERS_GROUP, message)


def wake_workers(message_type: str) -> None:
    """Start the chores that wait for this message (streams/chores.py), after the commit. Sync."""
    message = {"type": message_type}
    transaction.on_commit(partial(async_to_sync(send_to_workers), message), robust=True)
