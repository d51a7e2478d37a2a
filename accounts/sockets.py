"""Telling the sockets of a person, on every web process, to close.

Each socket joins the group of its person. The message is fast and may be lost (Redis restarting);
the sure way is that each socket asks the database with its heartbeat whether it may stay.
"""

import uuid

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from accounts.models import User


def group_of(person_id: uuid.UUID) -> str:
    return f"user.{person_id.hex}"


def close_all_of(person: User) -> None:
    """Every socket of this person looks again whether it may stay open. Sync."""
    layer = get_channel_layer()
    assert layer is not None
    async_to_sync(layer.group_send)(group_of(person.id), {"type": "person.changed"})
