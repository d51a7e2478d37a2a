"""The outbox of a reply: the events that the log does not have yet, each appended once.

The reply's row holds them (`outbox`) from the transaction that created it until they are in the
log, whatever crashes in between.
"""

import asyncio
import logging
import uuid
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from channels.db import database_sync_to_async
from django.db import DatabaseError

from chat import events as ev
from chat.models import Chat, Reply
from chat.sending.relaxed_commit import relaxed_commit
from chat.sending.send import Send
from streams.log import Event, get_log
from streams.queue import get_queue

logger = logging.getLogger(__name__)

ANSWERS_QUEUE = "answers"
EMPTY_AFTER_S = 0.3
# Set by the web process: emptying may have to wait for another writer, and all sockets share one
# thread. Tests have SQLite in memory, where threads would lock each other out.
own_thread = False


async def deliver(reply: Reply, stream: str) -> None:
    """Append to the log and queue the job; the outbox is emptied soon after. Safe to repeat and to
    run concurrently.

    Both steps run at the same time: a worker that is quicker appends the outbox itself.
    """
    steps = [append_outbox(reply, stream)]
    if reply.state == Reply.State.QUEUED:
        steps.append(enqueue(reply.id))
    await asyncio.gather(*steps)
    if reply.outbox is not None:
        _empty_soon(reply.id)


async def append_outbox(reply: Reply, stream: str) -> None:
    """Append the outbox to the log; because of its event ids, a repetition changes nothing."""
    if reply.outbox:
        await get_log().append(stream, [from_item(item) for item in reply.outbox])


async def enqueue(reply_id: uuid.UUID) -> None:
    await get_queue(ANSWERS_QUEUE).put(str(reply_id), b"")


def _empty_soon(reply_id: uuid.UUID) -> None:
    """Empty the outbox, together with others of this event loop: nobody waits for it, and many
    sends at once would each wait for the write lock. If the process ends before, the end of the
    reply empties it, or a worker's sweep delivers it again."""
    loop = asyncio.get_running_loop()
    delivered = _delivered.get(loop)
    if delivered is None:
        delivered = _delivered[loop] = _Delivered()
    delivered.ids.append(reply_id)
    if delivered.emptying is None:
        # In a context of its own: the request's thread for the database is soon another request's.
        delivered.emptying = loop.create_task(_empty(delivered), context=Context())


@dataclass
class _Delivered:
    """Replies whose outbox is in the log and not yet empty, and the task that empties it."""

    ids: list[uuid.UUID] = field(default_factory=list)
    emptying: asyncio.Task[None] | None = None
    thread: ThreadSensitiveContext = field(default_factory=ThreadSensitiveContext)


_delivered: WeakKeyDictionary[asyncio.AbstractEventLoop, _Delivered] = WeakKeyDictionary()


async def _empty(delivered: _Delivered) -> None:
    if own_thread:
        SyncToAsync.thread_sensitive_context.set(delivered.thread)
    try:
        while delivered.ids:
            await asyncio.sleep(EMPTY_AFTER_S)
            ids, delivered.ids = delivered.ids, []
            await database_sync_to_async(_empty_outboxes)(ids)
    except DatabaseError:
        logger.warning("could not empty outboxes; workers deliver them again", exc_info=True)
    finally:
        delivered.emptying = None


@relaxed_commit
def _empty_outboxes(reply_ids: list[uuid.UUID]) -> None:
    Reply.objects.filter(id__in=reply_ids, outbox__isnull=False).update(outbox=None)


def outbox_of_parent(parent: Reply | None) -> list[dict[str, Any]]:
    """The events of the parent reply that the log may not have yet.

    They are appended first, because a fold drops a message whose parent is not in the log.
    """
    return (parent.outbox or []) if parent else []


def outbox_of_send(
    chat: Chat,
    is_new: bool,
    send: Send,
    files: list[dict[str, Any]],
    reply_id: uuid.UUID,
    parent: Reply | None,
) -> list[dict[str, Any]]:
    question = ev.MessageCreated(
        message=str(send.id),
        role="user",
        parent=str(parent.id) if parent else None,
        text=send.text,
        files=files or None,
    )
    answer = ev.MessageCreated(
        message=str(reply_id), role="assistant", parent=str(send.id), model=send.model
    )
    events = [
        to_item(chat.id, question, f"{send.id}:created"),
        to_item(chat.id, answer, f"{reply_id}:created"),
    ]
    if is_new:
        created = ev.ChatCreated(
            chat=str(chat.id),
            title=chat.title,
            model=chat.model,
            temporary=chat.is_temporary or None,
            project=str(chat.project_id) if chat.project_id else None,
        )
        # Not ":created": a client may give its chat and its first message the same id.
        events.insert(0, to_item(chat.id, created, f"{chat.id}:begun"))
    return events


def to_item(chat_id: uuid.UUID, event: ev.AnyEvent, event_id: str) -> dict[str, Any]:
    """An event as an item of the `outbox` column: {"id", "chat", "data"}."""
    return {"id": event_id, "chat": str(chat_id), "data": event.to_dict()}


def from_item(item: dict[str, Any]) -> Event:
    event = item["data"]
    return Event(
        id=item["id"],
        chat=item["chat"],
        type=event["type"],
        data=orjson.dumps(event),
        whole=ev.data_for_index(event),
    )
