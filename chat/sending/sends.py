"""Places replies: for a send, a regeneration, a continue. Each request takes effect once.

Every request names its message by an id that the browser made. One transaction makes it a `Reply`
row, which also holds the events that the log does not have yet (`outbox`). Then the events are
appended, the job is queued and the outbox is emptied. A repeated request, and the sweep after a
crash between two of these steps, run `deliver` again: the log drops event ids and the queue drops
keys that it already has, so nothing happens twice.
"""

import hashlib
import re
import uuid
from functools import partial
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import IntegrityError, transaction
from django.db.models import Exists
from django.utils import timezone

from accounts.models import User
from chat import events as ev
from chat.charging import pricing
from chat.charging.settle import settle
from chat.errors import ChatNotFound, IdReused, MessageNotFound, NotPossibleNow
from chat.files.attaching import attach, attached_name
from chat.folding import fold_answer
from chat.llm.endpoints import Model
from chat.models import Chat, ErasedChat, Reply
from chat.projects.rows import lock_own_project
from chat.sending.branches import branch_choices, parent_of_send
from chat.sending.outbox import enqueue, outbox_of_parent, outbox_of_send, to_item
from chat.sending.send import Send
from chat.work_orders import load_order
from streams.cursors import entry_ms
from streams.log import get_log

START_TITLE_CHARS = 60
# The lines around what was pasted (static/js/chat/compose/pasted.js).
PASTED_FENCE = re.compile(r"^`{3,}(?:pasted)?$", re.MULTILINE)


def replies_of_ids(message_id: uuid.UUID) -> dict[uuid.UUID, Reply]:
    """The replies that have the id of this message, or that of its reply, by id."""
    ids = [Reply.id_for_message(message_id), message_id]
    return Reply.objects.select_related("chat").in_bulk(ids)


def place_send(
    owner: User,
    send: Send,
    model: Model | None = None,
    known: dict[uuid.UUID, Reply] | None = None,
) -> Reply:
    """Create the reply to a sent message; a repetition returns the same row. Sync, one transaction.

    `model`: from the catalogue; credit is held for the reply, or nothing is stored. `known`: of
    `replies_of_ids`, if the caller has read it. Raises IdReused, ChatNotFound, MessageNotFound,
    OutOfCredit, NoPrice, ProjectNotFound if a new chat cannot begin in its project, and what
    `attach` raises (chat/files/attaching.py).
    """
    reply_id = Reply.id_for_message(send.id)
    digest = _digest(send.chat, send.id, send.text, send.model, send.edit, *send.files)
    replies = replies_of_ids(send.id) if known is None else known
    if existing := replies.get(reply_id):
        return _repeated(existing, owner, digest)
    if (other := replies.get(send.id)) and other.chat.owner_id == owner.id:
        raise IdReused  # The id is that of a reply.
    try:
        with transaction.atomic():
            chat, is_new, has_usage = _lock_chat(owner, send, reply_id)
            _refuse_erased(reply_id, has_usage=has_usage)
            parent = parent_of_send(chat, send)
            files = attach(owner, chat, send.files)
            before = outbox_of_parent(parent) + branch_choices(chat, parent, reply_id)
            outbox = before + outbox_of_send(chat, is_new, send, files, reply_id, parent)
            reply = _create_reply(chat, reply_id, send.id, parent, send.model, digest, outbox)
            if model is not None:
                pricing.hold_for_reply(owner, reply, model, send.text)
            return reply
    except IntegrityError:
        # Another request placed the same reply between the query and the insert.
        if existing := _placed_before(owner, reply_id, digest):
            return existing
        raise


def place_regeneration(
    owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID, prompt_id: uuid.UUID, model: Model
) -> Reply:
    """Create another reply to a message that has one already. Sync, one transaction."""
    digest = _digest(chat_id, prompt_id, model.id)
    if existing := _placed_before(owner, reply_id, digest):
        return existing
    if Reply.objects.filter(prompt_id=reply_id, chat__owner=owner).exists():
        raise IdReused  # The id is that of a user's message.
    try:
        with transaction.atomic():
            chat = lock_own_chat(owner, chat_id)
            sibling = chat.replies.filter(prompt_id=prompt_id).first()
            if sibling is None:
                raise MessageNotFound
            _refuse_erased(reply_id, has_usage=pricing.usage_of(reply_id).exists())
            before = outbox_of_parent(sibling) + branch_choices(chat, sibling, reply_id)
            answer = ev.MessageCreated(
                message=str(reply_id), role="assistant", parent=str(prompt_id), model=model.id
            )
            outbox = [*before, to_item(chat_id, answer, f"{reply_id}:created")]
            above = sibling.parent
            reply = _create_reply(chat, reply_id, prompt_id, above, model.id, digest, outbox)
            pricing.hold_for_reply(owner, reply, model, None)
            return reply
    except IntegrityError:
        if existing := _placed_before(owner, reply_id, digest):
            return existing
        raise


async def continue_answer(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> Reply:
    """Continue a failed or stopped reply in the same message. A repetition changes nothing.

    The log, and so the screen, has the end of a reply a moment before the row has it. Such an end
    is settled here: otherwise the request would be taken for a repetition and be lost.
    """
    place = sync_to_async(partial(place_continue, owner, chat_id, reply_id))
    reply, is_placed = await place(await _model_of(owner, reply_id))
    if not is_placed and await _settle_by_log(owner.stream, reply):
        reply, _ = await place(await _model_of(owner, reply_id))
    return reply


async def _model_of(owner: User, reply_id: uuid.UUID) -> Model | None:
    """The reply's model in the current catalogue; None if the reply does not exist, which
    `place_continue` then refuses."""
    reply = await Reply.objects.filter(id=reply_id).afirst()
    return await pricing.model_of(owner, reply.model) if reply else None


async def _settle_by_log(stream: str, reply: Reply) -> bool:
    """Settle the reply if the log has its end and the row does not; returns whether it did."""
    folded = await fold_answer(get_log(), stream, str(reply.chat_id), str(reply.id))
    message = folded.message
    state = Reply.STATE_OF_STATUS.get(message.status) if message else None
    if message is None or state is None:
        return False
    if reply.continued_after_attempt is not None and (
        message.attempt <= reply.continued_after_attempt
    ):
        return False  # The reply was continued after this end.
    order = await sync_to_async(load_order)(str(reply.id))
    if order is not None:
        ended_ms = entry_ms(folded.cursor)
        settle_reply = sync_to_async(settle)
        for ready_id in await settle_reply(order, state, folded.attempts, ended_ms=ended_ms):
            await enqueue(uuid.UUID(ready_id))
    return True


def place_continue(
    owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID, model: Model | None
) -> tuple[Reply, bool]:
    """The reply, and whether this call continued it. Sync, one transaction.

    Raises NotPossibleNow if the reply is complete or one before it has not ended yet.
    """
    with transaction.atomic():
        chat = lock_own_chat(owner, chat_id)
        reply = lock_reply(chat, reply_id)
        if reply.state == Reply.State.DONE or (reply.is_final and reply.still_before()):
            raise NotPossibleNow
        is_placed = reply.is_final
        if is_placed and model is not None:
            pricing.hold_for_reply(owner, reply, model, None)
        if is_placed:
            reply.waits_for = None
            reply.state = Reply.State.QUEUED
            reply.continued_after_attempt = reply.attempts
            reply.stop_requested_at = None
            reply.finished_at = None
            reply.error_code = ""
            reply.project_instructions = _project_instructions(chat)
            reply.save(
                update_fields=[
                    "state",
                    "waits_for",
                    "continued_after_attempt",
                    "stop_requested_at",
                    "finished_at",
                    "error_code",
                    "project_instructions",
                ]
            )
        return reply, is_placed


def lock_own_chat(owner: User, chat_id: uuid.UUID) -> Chat:
    """The owner's chat, locked to the end of the transaction. Raises ChatNotFound, also for a
    deleted one."""
    chat = Chat.objects.select_for_update().filter(id=chat_id, owner=owner).first()
    if chat is None or chat.deleted_at is not None:
        raise ChatNotFound
    return chat


def lock_reply(chat: Chat, reply_id: uuid.UUID) -> Reply:
    """A reply of the chat, locked to the end of the transaction. Raises MessageNotFound."""
    reply = chat.replies.select_for_update().filter(id=reply_id).first()
    if reply is None:
        raise MessageNotFound
    return reply


def _placed_before(owner: User, reply_id: uuid.UUID, digest: str) -> Reply | None:
    reply = Reply.objects.select_related("chat").filter(id=reply_id).first()
    return None if reply is None else _repeated(reply, owner, digest)


def _repeated(reply: Reply, owner: User, digest: str) -> Reply:
    """The reply, if the same request created it. Raises IdReused."""
    if reply.chat.owner_id != owner.id or reply.request_digest != digest:
        raise IdReused
    return reply


def _lock_chat(owner: User, send: Send, reply_id: uuid.UUID) -> tuple[Chat, bool, bool]:
    """The chat of the message, locked; whether it was created now for its first message; and
    whether usage is stored for a reply of this id."""
    usage = pricing.usage_of(reply_id)
    # The tip is not joined but read after the lock: in a join, PostgreSQL would look for a tip that
    # another transaction has just set among the rows from before it.
    own = Chat.objects.select_for_update().filter(owner=owner, deleted_at=None)
    existing = own.filter(id=send.chat).annotate(has_usage=Exists(usage)).first()
    if existing is not None:
        return existing, False, existing.has_usage
    if ErasedChat.objects.filter(id=send.chat).exists():
        raise ChatNotFound
    project = lock_own_project(owner, send.project) if send.project else None
    try:
        with transaction.atomic():
            chat = Chat.objects.create(
                id=send.chat,
                owner=owner,
                # A temporary chat has none: browsers keep the titles of pages in their history.
                title="" if send.temporary else _first_title(owner, send),
                is_temporary=send.temporary,
                project=project,
                model=send.model,
                updated_at=timezone.now(),
            )
        return chat, True, usage.exists()
    except IntegrityError:
        # Another request created it just now, or it is deleted or somebody else's.
        return lock_own_chat(owner, send.chat), False, usage.exists()


def _refuse_erased(reply_id: uuid.UUID, *, has_usage: bool) -> None:
    """Raise IdReused if a reply of this id was erased: its usage is kept under the id. If the reply
    exists, inserting it fails instead, because the same request may just have created it."""
    if has_usage and not Reply.objects.filter(id=reply_id).exists():
        raise IdReused


def _first_title(owner: User, send: Send) -> str:
    """The first words, or the name of the first file of a message without words."""
    if send.text.strip() or not send.files:
        return start_title(send.text)
    return start_title(attached_name(owner, send.files[0].id))


def start_title(text: str) -> str:
    """The first words of the first message: the title until there is a better one."""
    line = " ".join(PASTED_FENCE.sub("", text).split() or text.split())
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
        project_instructions=_project_instructions(chat),
    )
    chat.tip_id = reply.id  # Objects that refer to each other would wait for the garbage collector.
    chat.model = model
    chat.updated_at = timezone.now()
    chat.search_due_at = chat.updated_at
    chat.save(update_fields=["tip", "model", "updated_at", "search_due_at"])
    return reply


def _project_instructions(chat: Chat) -> str:
    """What the project of a locked chat says now. The lock keeps the project from being deleted."""
    return chat.project.instructions if chat.project else ""


def _state_of(waits_for: Reply | None) -> Reply.State:
    return Reply.State.WAITING if waits_for else Reply.State.QUEUED


def _digest(*parts: object) -> str:
    return hashlib.sha256(orjson.dumps([str(part) for part in parts])).hexdigest()
