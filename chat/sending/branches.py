"""Where in a chat a message belongs, and which branch is shown then."""

import uuid
from typing import Any

from chat import events as ev
from chat.errors import MessageNotFound
from chat.models import Chat, Reply
from chat.sending.outbox import boxed
from chat.sending.send import Send


def parent_of_send(chat: Chat, send: Send) -> Reply | None:
    if send.edit:
        return _reply_in(chat, send.parent) if send.parent else None
    if send.parent is None or send.parent == chat.tip_id:
        return chat.tip
    if send.parent in _line(chat.tip_id, _replies_of(chat)):
        return chat.tip
    return _reply_in(chat, send.parent)


def choices_for(chat: Chat, above: Reply | None, reply_id: uuid.UUID) -> list[dict[str, Any]]:
    """What brings the path that leads to `above` back on the screens, if another one is shown.

    Otherwise a message below it would be stored and answered where nobody looks.
    """
    if above is None or above.id == chat.tip_id:
        return []
    replies = _replies_of(chat)
    shown = set(_line(chat.tip_id, replies))
    hidden = [other for other in _line(above.id, replies) if other not in shown]
    chosen = [message for other in hidden[::-1] for message in (replies[other][1], other)]
    return [
        boxed(chat.id, ev.BranchChosen(message=str(message)), f"{reply_id}:choice:{number}")
        for number, message in enumerate(chosen)
    ]


def _replies_of(chat: Chat) -> dict[uuid.UUID, tuple[uuid.UUID | None, uuid.UUID]]:
    """Of each reply of the chat the one above it, and the message it answers."""
    rows = chat.replies.values_list("id", "parent_id", "prompt_id")
    return {reply_id: (parent_id, prompt_id) for reply_id, parent_id, prompt_id in rows}


def _line(
    reply_id: uuid.UUID | None, replies: dict[uuid.UUID, tuple[uuid.UUID | None, uuid.UUID]]
) -> list[uuid.UUID]:
    """A reply and those above it, up to the first."""
    line: list[uuid.UUID] = []
    while reply_id is not None:
        line.append(reply_id)
        reply_id, _ = replies[reply_id]
    return line


def _reply_in(chat: Chat, reply_id: uuid.UUID) -> Reply:
    reply = chat.replies.filter(id=reply_id).first()
    if reply is None:
        raise MessageNotFound
    return reply
