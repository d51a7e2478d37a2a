"""Stops replies: a single one, even before it has begun, or all of one person. The row records the
stop; a message to the workers only makes it quicker.
"""

import uuid

from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.sockets import send_to_workers
from chat.models import Reply
from chat.sending.outbox import enqueue
from chat.sending.sends import lock_own_chat, lock_reply


async def stop_answer(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> None:
    """End a reply at its current text, even before it has begun. Raises ChatNotFound,
    MessageNotFound."""
    reply = await sync_to_async(request_stop)(owner, chat_id, reply_id)
    if reply is None:
        return
    if reply.waits_for_id is not None:
        await enqueue(reply.id)
    await notify_workers([str(reply_id)])


def request_stop(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> Reply | None:
    """Record that the reply is to end at its current text. None if it has already ended. Sync.

    A waiting reply is queued, so that it ends as soon as a worker claims it. Replies that waited
    for it now wait for the reply that it waited for.
    """
    with transaction.atomic():
        reply = lock_reply(lock_own_chat(owner, chat_id), reply_id)
        if reply.is_final:
            return None
        if reply.stop_requested_at is None:
            reply.stop_requested_at = timezone.now()
        if reply.state == Reply.State.WAITING:
            reply.state = Reply.State.QUEUED
            # Cancelled replies too: a message that is sent below one reads its `waits_for`.
            Reply.objects.filter(waits_for=reply).update(waits_for=reply.waits_for)
        reply.save(update_fields=["stop_requested_at", "state"])
        return reply


async def notify_workers(reply_ids: list[str]) -> None:
    """Ask the workers to stop now. If the message is lost, they find the stop in the database."""
    for reply_id in reply_ids:
        await send_to_workers({"type": "stop", "reply": reply_id})


def stop_all_of(person: User) -> None:
    """Stop every unfinished reply of this person; the text so far is kept. Sync."""
    unfinished = Reply.objects.filter(chat__owner=person, finished_at=None)
    unfinished.filter(stop_requested_at=None).update(stop_requested_at=timezone.now())
    reply_ids = [str(reply_id) for reply_id in unfinished.values_list("id", flat=True)]
    async_to_sync(notify_workers)(reply_ids)
