"""Places a new message in its chat, and chooses the branch that is shown then."""

import uuid
from typing import Any

from chat import events as ev
from chat.errors import MessageNotFound
from chat.models import Chat, Reply
from chat.sending.outbox import to_item
from chat.sending.send import Send


def parent_of_send(chat: Chat, send: Send) -> Reply | None:
    """The reply that the message goes below; None at the top. Raises MessageNotFound."""
    if send.edit:
        return _reply_in(chat, send.parent) if send.parent else None
    if send.parent is None or send.parent == chat.tip_id:
        return chat.tip
    if send.parent in _ancestry(chat.tip_id, _replies_of(chat)):
        return chat.tip
    return _reply_in(chat, send.parent)


def branch_choices(chat: Chat, above: Reply | None, reply_id: uuid.UUID) -> list[dict[str, Any]]:
    """Outbox items that make the path to `above` the shown one, if another branch is shown.

    Otherwise a message below it would be stored and answered where nobody sees it.
    """
    if above is None or above.id == chat.tip_id:
        return []
    replies = _replies_of(chat)
    shown = set(_ancestry(chat.tip_id, replies))
    hidden = [reply for reply in _ancestry(above.id, replies) if reply not in shown]
    chosen = [message for reply in hidden[::-1] for message in (replies[reply][1], reply)]
    return [
        to_item(chat.id, ev.BranchChosen(message=str(message)), f"{reply_id}:choice:{number}")
        for number, message in enumerate(chosen)
    ]


def _replies_of(chat: Chat) -> dict[uuid.UUID, tuple[uuid.UUID | None, uuid.UUID]]:
    """For each reply of the chat: the reply above it, and the message that it answers."""
    rows = chat.replies.values_list("id", "parent_id", "prompt_id")
    return {reply_id: (parent_id, prompt_id) for reply_id, parent_id, prompt_id in rows}


def _ancestry(
    reply_id: uuid.UUID | None, replies: dict[uuid.UUID, tuple[uuid.UUID | None, uuid.UUID]]
) -> list[uuid.UUID]:
    """A reply and all replies above it, up to the first."""
    ancestry: list[uuid.UUID] = []
    while reply_id is not None:
        ancestry.append(reply_id)
        reply_id, _ = replies[reply_id]
    return ancestry


def _reply_in(chat: Chat, reply_id: uuid.UUID) -> Reply:
    reply = chat.replies.filter(id=reply_id).first()
    if reply is None:
        raise MessageNotFound
    return reply
