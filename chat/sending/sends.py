"""Taking orders: a send, a regeneration, a continue. Each happens once.

Every order names its message by an id that the browser made. In one transaction it becomes a
`Reply` row that also holds what the log must still be told (`outbox`); then the log is told, the
job is queued and the outbox is emptied. Whoever repeats the order, and the sweep after a crash
between two of these steps, runs `deliver` again: appends are dropped by event id, the queue takes
a key once, so nothing is doubled.
"""

import hashlib
import uuid
from functools import partial
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from chat import events as ev
from chat.charging import pricing
from chat.charging.settle import settle
from chat.errors import ChatNotFound, IdReused, MessageNotFound, NotPossibleNow
from chat.folding import fold_answer
from chat.llm.endpoints import Model
from chat.models import Chat, ErasedChat, Reply
from chat.sending.branches import choices_for, parent_of_send
from chat.sending.outbox import boxed, enqueue, outbox_of_send, owed_before
from chat.sending.send import Send
from chat.work_orders import load_order
from streams.cursors import entry_ms
from streams.log import get_log

START_TITLE_CHARS = 60


def place_send(owner: User, send: Send, model: Model | None = None) -> Reply:
    """Write the order down; the same order again gives the same row. Sync, one transaction.

    With the model as the catalogue has it, credit is held for the answer, or nothing is written.
    """
    reply_id = Reply.id_for_message(send.id)
    digest = _digest(send.chat, send.id, send.text, send.model, send.edit)
    if existing := _placed_before(owner, reply_id, digest):
        return existing
    if Reply.objects.filter(id=send.id, chat__owner=owner).exists():
        raise IdReused  # It names an answer.
    try:
        with transaction.atomic():
            chat, is_new = _lock_chat(owner, send)
            parent = parent_of_send(chat, send)
            before = owed_before(parent) + choices_for(chat, parent, reply_id)
            outbox = before + outbox_of_send(chat, is_new, send, reply_id, parent)
            reply = _create_reply(chat, reply_id, send.id, parent, send.model, digest, outbox)
            if model is not None:
                pricing.hold_for_order(owner, reply, model, send.text)
            return reply
    except IntegrityError:
        # The same order was placed by another request between the look and the write.
        if existing := _placed_before(owner, reply_id, digest):
            return existing
        raise


def place_regeneration(
    owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID, prompt_id: uuid.UUID, model: Model
) -> Reply:
    """Order another answer to a message that has one already. Sync, one transaction."""
    digest = _digest(chat_id, prompt_id, model.id)
    if existing := _placed_before(owner, reply_id, digest):
        return existing
    if Reply.objects.filter(prompt_id=reply_id, chat__owner=owner).exists():
        raise IdReused  # It names a message.
    try:
        with transaction.atomic():
            chat = lock_own_chat(owner, chat_id)
            sibling = chat.replies.filter(prompt_id=prompt_id).first()
            if sibling is None:
                raise MessageNotFound
            before = owed_before(sibling) + choices_for(chat, sibling, reply_id)
            answer = ev.MessageCreated(
                message=str(reply_id), role="assistant", parent=str(prompt_id), model=model.id
            )
            outbox = [*before, boxed(chat_id, answer, f"{reply_id}:created")]
            above = sibling.parent
            reply = _create_reply(chat, reply_id, prompt_id, above, model.id, digest, outbox)
            pricing.hold_for_order(owner, reply, model, None)
            return reply
    except IntegrityError:
        if existing := _placed_before(owner, reply_id, digest):
            return existing
        raise


async def continue_answer(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> Reply:
    """Order a failed or stopped answer to go on in the same message. Once is enough.

    The log knows of an end a moment before the row does, and so does whoever looks at the screen:
    that end is settled here, lest the order be taken for a repetition and lost.
    """
    order = partial(place_continue, owner, chat_id, reply_id)
    reply, placed = await sync_to_async(order)(await _model_of(owner, reply_id))
    if not placed and await _settled_by_log(owner.stream, reply):
        reply, _ = await sync_to_async(order)(await _model_of(owner, reply_id))
    return reply


async def _model_of(owner: User, reply_id: uuid.UUID) -> Model | None:
    """As the catalogue has it now; None for no such reply, which `place_continue` refuses."""
    reply = await Reply.objects.filter(id=reply_id).afirst()
    return await pricing.model_of(owner, reply.model) if reply else None


async def _settled_by_log(stream: str, reply: Reply) -> bool:
    told = await fold_answer(get_log(), stream, str(reply.chat_id), str(reply.id))
    message = told.message
    state = Reply.STATE_OF_STATUS.get(message.status) if message else None
    if message is None or state is None:
        return False
    if reply.continued_after_attempt is not None and (
        message.attempt <= reply.continued_after_attempt
    ):
        return False  # That end is the one it was continued after.
    order = await sync_to_async(load_order)(str(reply.id))
    if order is not None:
        ended_ms = entry_ms(told.cursor)
        for freed in await sync_to_async(settle)(order, state, told.attempts, ended_ms=ended_ms):
            await enqueue(uuid.UUID(freed))
    return True


def place_continue(
    owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID, model: Model | None
) -> tuple[Reply, bool]:
    """The reply, and whether it was this call that ordered it to go on. Sync, one transaction."""
    with transaction.atomic():
        reply = lock_reply(lock_own_chat(owner, chat_id), reply_id)
        if reply.state == Reply.State.DONE or (reply.is_final and reply.still_before()):
            raise NotPossibleNow
        placed = reply.is_final
        if placed and model is not None:
            pricing.hold_for_order(owner, reply, model, None)
        if placed:
            reply.waits_for = None
            reply.state = Reply.State.QUEUED
            reply.continued_after_attempt = reply.attempts
            reply.stop_requested_at = None
            reply.finished_at = None
            reply.save(
                update_fields=[
                    "state",
                    "waits_for",
                    "continued_after_attempt",
                    "stop_requested_at",
                    "finished_at",
                ]
            )
        return reply, placed


def lock_own_chat(owner: User, chat_id: uuid.UUID) -> Chat:
    """The chat, locked to the end of the transaction, if it is this person's and not deleted."""
    chat = Chat.objects.select_for_update().filter(id=chat_id, owner=owner).first()
    if chat is None or chat.deleted_at is not None:
        raise ChatNotFound
    return chat


def lock_reply(chat: Chat, reply_id: uuid.UUID) -> Reply:
    """The same of an answer in it. Raises MessageNotFound."""
    reply = chat.replies.select_for_update().filter(id=reply_id).first()
    if reply is None:
        raise MessageNotFound
    return reply


def _placed_before(owner: User, reply_id: uuid.UUID, digest: str) -> Reply | None:
    reply = Reply.objects.select_related("chat").filter(id=reply_id).first()
    if reply is None:
        return None
    if reply.chat.owner_id != owner.id or reply.request_digest != digest:
        raise IdReused
    return reply


def _lock_chat(owner: User, send: Send) -> tuple[Chat, bool]:
    """The chat that is sent to, made now if this is its first message."""
    # Not with its tip: PostgreSQL would look for the row of the new one among those of before.
    own = Chat.objects.select_for_update().filter(owner=owner, deleted_at=None)
    chat = own.filter(id=send.chat).first()
    if chat is not None:
        return chat, False
    if ErasedChat.objects.filter(id=send.chat).exists():
        raise ChatNotFound
    chat, is_new = Chat.objects.get_or_create(
        id=send.chat,
        defaults={
            "owner": owner,
            "title": start_title(send.text),
            "model": send.model,
            "updated_at": timezone.now(),
        },
    )
    # Not new: another request made it just now, or it is deleted, or somebody else's.
    return (chat, True) if is_new else (lock_own_chat(owner, send.chat), False)


def start_title(text: str) -> str:
    """The first words of the first message, until a better title is there."""
    line = " ".join(text.split())
    if len(line) <= START_TITLE_CHARS:
        return line
    return line[:START_TITLE_CHARS].rsplit(" ", 1)[0] + "…"


def _create_reply(
    chat: Chat,
    reply_id: uuid.UUID,
    prompt_id: uuid.UUID,
    parent: Reply | None,
    model: str,
    digest: str,
    outbox: list[dict[str, Any]],
) -> Reply:
    # Of one that is there the insert below says whose it is: the same order may just have made it.
    if pricing.was_counted(reply_id) and not Reply.objects.filter(id=reply_id).exists():
        raise IdReused  # Its charges have the name of an answer that is erased.
    waits_for = parent.awaited_below() if parent else None
    reply = Reply.objects.create(
        id=reply_id,
        chat=chat,
        prompt_id=prompt_id,
        parent=parent,
        model=model,
        waits_for=waits_for,
        state=_state_of(waits_for),
        request_digest=digest,
        outbox=outbox,
    )
    chat.tip = reply
    chat.model = model
    chat.updated_at = timezone.now()
    chat.search_due_at = chat.updated_at
    chat.save(update_fields=["tip", "model", "updated_at", "search_due_at"])
    return reply


def _state_of(waits_for: Reply | None) -> Reply.State:
    return Reply.State.WAITING if waits_for else Reply.State.QUEUED


def _digest(*parts: object) -> str:
    return hashlib.sha256(orjson.dumps([str(part) for part in parts])).hexdigest()
