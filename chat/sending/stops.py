"""Ending answers: one of them, also before it has begun, or all of one person at once. A stop is
noted in the row; workers are told too, which is quicker.
"""

import uuid

from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.sockets import send_to_group
from chat.models import Reply
from chat.sending.outbox import enqueue
from chat.sending.sends import lock_own_chat, lock_reply

WORKERS_GROUP = "workers"


async def stop_answer(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> None:
    """End an answer where it is, also one that has not begun."""
    reply = await sync_to_async(request_stop)(owner, chat_id, reply_id)
    if reply is None:
        return
    if reply.waits_for_id is not None:
        await enqueue(reply.id)
    await tell_workers([str(reply_id)])


def request_stop(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> Reply | None:
    """Note that the answer is to end where it is. None if it has ended already.

    One that waits is taken out of the line: it ends as soon as a worker has it, and what waits for
    it waits for what is before it from now on.
    """
    with transaction.atomic():
        reply = lock_reply(lock_own_chat(owner, chat_id), reply_id)
        if reply.is_final:
            return None
        if reply.stop_requested_at is None:
            reply.stop_requested_at = timezone.now()
        if reply.state == Reply.State.WAITING:
            reply.state = Reply.State.QUEUED
            # Also those that were cancelled themselves: what is sent below them asks them.
            Reply.objects.filter(waits_for=reply).update(waits_for=reply.waits_for)
        reply.save(update_fields=["stop_requested_at", "state"])
        return reply


async def tell_workers(reply_ids: list[str]) -> None:
    """The quick way to the worker. If it fails, the worker finds the stop in the database."""
    for reply_id in reply_ids:
        await send_to_group(WORKERS_GROUP, {"type": "stop", "reply": reply_id})


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
    async_to_sync(send_to_group)(WORKERS_GROUP, {"type": kind})
