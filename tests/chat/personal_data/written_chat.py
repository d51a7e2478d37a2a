"""A chat written without a worker, and what a reader sees of it."""

import uuid

from asgiref.sync import sync_to_async

from chat import events as ev
from chat.sending.outbox import deliver
from chat.sending.send import Send
from chat.sending.sends import place_send
from streams.log import Fence, get_log


def shown(transcript):
    return {m.id: (m.role, str(m.text), m.status, m.parent) for m in transcript.messages.values()}


async def written_chat(owner, number):
    """A chat with an answered message, one with an unfinished answer, and a rename."""
    chat_id = uuid.uuid4()
    send = Send(uuid.uuid4(), chat_id, f"question {number}", "openai/script/known", None)
    reply = await sync_to_async(place_send)(owner, send)
    await deliver(reply, owner.stream)
    me, chat = str(reply.id), str(chat_id)
    fence = Fence(name=me, token=7)
    log = get_log()
    await log.raise_fence(owner.stream, fence)
    written = [
        ev.MessageStarted(message=me, attempt=1, model="m"),
        *(ev.MessageDelta(message=me, text=f"{number} word {n} ") for n in range(5)),
        ev.MessageReasoning(message=me, text=f"hm {number}"),
        ev.MessageDelta(message=me, text=f"{number} more"),
    ]
    for n, event in enumerate(written):
        await log.append(owner.stream, [ev.log_event(chat, event, f"{me}:7:{n}")], fence=fence)
    await log.append(
        owner.stream,
        [ev.log_event(chat, ev.ChatRenamed(chat=chat, title=f"T{number}", by="user"), f"{chat}:r")],
    )
    return chat
