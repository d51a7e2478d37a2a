"""Ending answers: the quick word to the workers, and everything of one person at once."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.utils import timezone

from accounts.models import User
from chat.models import Reply

WORKERS_GROUP = "workers"


async def tell_workers(reply_ids: list[str]) -> None:
    """The quick way to the worker. If it fails, the worker finds the stop in the database."""
    layer = get_channel_layer()
    assert layer is not None
    for reply_id in reply_ids:
        await layer.group_send(WORKERS_GROUP, {"type": "stop", "reply": reply_id})


def stop_all_of(person: User) -> None:
    """End whatever is being answered for this person; what is there is kept. Sync."""
    owed = Reply.objects.filter(chat__owner=person, finished_at=None)
    owed.filter(stop_requested_at=None).update(stop_requested_at=timezone.now())
    async_to_sync(tell_workers)([str(reply_id) for reply_id in owed.values_list("id", flat=True)])


def wake_for_join() -> None:
    """A guest is to be joined to an account: a worker sees to it now, not with its next sweep."""
    _wake("join")


def wake_for_keys() -> None:
    """A worker is to look at somebody's provider key."""
    _wake("keys")


def _wake(kind: str) -> None:
    layer = get_channel_layer()
    assert layer is not None
    async_to_sync(layer.group_send)(WORKERS_GROUP, {"type": kind})
