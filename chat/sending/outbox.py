"""What the log must still be told of a reply, and telling it: each thing once, whatever crashes.

A reply's row holds it (`outbox`) from the transaction that placed the order until the log has it.
"""

import asyncio
import uuid
from typing import Any

import orjson
from asgiref.sync import sync_to_async

from chat import events as ev
from chat.models import Chat, Reply
from chat.sending.relaxed_commit import without_sync
from chat.sending.send import Send
from streams.log import Event, get_log
from streams.queue import get_queue

ANSWERS_QUEUE = "answers"


async def deliver(reply: Reply, stream: str) -> None:
    """Tell the log, queue the job, empty the outbox. Safe to repeat and to run twice at once.

    The first two go at the same time: a worker that is quicker than the log tells it the same.
    """
    telling = [append_outbox(reply, stream)]
    if reply.state == Reply.State.QUEUED:
        telling.append(enqueue(reply.id))
    await asyncio.gather(*telling)
    if reply.outbox is not None:
        await sync_to_async(_empty_outbox)(reply.id)


async def append_outbox(reply: Reply, stream: str) -> None:
    """Append what the row still owes the log; event ids make a repetition change nothing."""
    if reply.outbox:
        await get_log().append(stream, [unbox(item) for item in reply.outbox])


async def enqueue(reply_id: uuid.UUID) -> None:
    await get_queue(ANSWERS_QUEUE).put(str(reply_id), b"")


@without_sync
def _empty_outbox(reply_id: uuid.UUID) -> None:
    Reply.objects.filter(id=reply_id).update(outbox=None)


def owed_before(earlier: Reply | None) -> list[dict[str, Any]]:
    """What the log has perhaps not been told yet of the reply that this one builds on.

    A message whose parent the log does not know would be lost to every fold, so it is told first.
    """
    return (earlier.outbox or []) if earlier else []


def outbox_of_send(
    chat: Chat, is_new: bool, send: Send, reply_id: uuid.UUID, parent: Reply | None
) -> list[dict[str, Any]]:
    asked = ev.MessageCreated(
        message=str(send.id),
        role="user",
        parent=str(parent.id) if parent else None,
        text=send.text,
    )
    owed = ev.MessageCreated(
        message=str(reply_id), role="assistant", parent=str(send.id), model=send.model
    )
    events = [
        boxed(chat.id, asked, f"{send.id}:created"),
        boxed(chat.id, owed, f"{reply_id}:created"),
    ]
    if is_new:
        created = ev.ChatCreated(chat=str(chat.id), title=chat.title, model=chat.model)
        # Not ":created": a client may give its chat and its first message the same id.
        events.insert(0, boxed(chat.id, created, f"{chat.id}:begun"))
    return events


def boxed(chat_id: uuid.UUID, event: ev.AnyEvent, event_id: str) -> dict[str, Any]:
    return {"id": event_id, "chat": str(chat_id), "data": event.to_dict()}


def unbox(item: dict[str, Any]) -> Event:
    data = orjson.dumps(item["data"])
    return Event(id=item["id"], chat=item["chat"], type=item["data"]["type"], data=data)
