"""Reserves storage for events until they are written.

One script reserves the bytes (streams/lua/reserve.lua), so that concurrent requests together exceed
no bound. A reply is counted when it is written, not before, so each send may exceed the budget by
its own reply. Drafts are in the database: two drafts written at the same moment do not count each
other.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.models import OuterRef, Sum
from django.db.models.functions import Coalesce

from accounts import storage
from accounts.errors import StorageFull
from accounts.models import User
from chat import events as ev
from chat.errors import ChatFull
from chat.files.attaching import ready_files
from chat.models import Draft, Project, Reply
from chat.sending.send import Send
from streams.log import Event, get_log
from streams.sizes import Claim, claim_for


@asynccontextmanager
async def room_for(
    person: User | None, chat_id: uuid.UUID, events: Sequence[Event], *, is_text: bool = True
) -> AsyncIterator[None]:
    """While the context is open, the events may be appended to the person's log. `person` is None
    for a visitor, who has no log. `is_text`: the events make the chat longer.

    Raises StorageBusy, StorageFull, AddressFull and, with `is_text`, ChatFull.
    """
    await storage.require_memory(person)
    claim = claim_for(events[0].id, str(chat_id), events)
    if person is None:
        if 0 < settings.LIMIT_STORED_BYTES_GUEST < claim.total:
            raise StorageFull
        await storage.count_for_address(None, claim.total)
        yield
        return
    max_bytes = await storage.room_in_log(person)
    max_chat_bytes = settings.LIMIT_CHAT_BYTES if is_text else 0
    async with _reserved(person, claim, max_bytes, max_chat_bytes):
        await storage.count_for_address(person, claim.total)
        yield


@asynccontextmanager
async def _reserved(
    person: User, claim: Claim, max_bytes: int, max_chat_bytes: int
) -> AsyncIterator[None]:
    if not max_bytes and not max_chat_bytes:
        yield
        return
    sizes = get_log().sizes
    async with sizes.reserved(
        person.stream, claim, most=max_bytes, most_of_chat=max_chat_bytes
    ) as full:
        if full == "log":
            raise StorageFull(person)
        if full == "chat":
            raise ChatFull
        yield


@asynccontextmanager
async def room_for_send(
    person: User | None, send: Send, *, is_repeated: bool
) -> AsyncIterator[None]:
    """Room for a message and its empty reply. A repetition of a placed send needs none."""
    if is_repeated:
        yield
        return
    reply_id = Reply.id_for_message(send.id)
    # Files that are not ready are refused when the send is placed.
    files = await sync_to_async(ready_files)(person, send.files) if send.files else None
    message = ev.MessageCreated(message=str(send.id), role="user", text=send.text, files=files)
    events = _events(send.chat, reply_id, _empty_reply(reply_id), message)
    async with room_for(person, send.chat, events):
        yield


@asynccontextmanager
async def room_for_regeneration(
    person: User, chat_id: uuid.UUID, reply_id: uuid.UUID
) -> AsyncIterator[bool]:
    """Room for another empty reply. A repetition of a placed request needs none. Yields whether it
    is a repetition."""
    if await Reply.objects.filter(id=reply_id).aexists():
        yield True
        return
    async with room_for(person, chat_id, _events(chat_id, reply_id, _empty_reply(reply_id))):
        yield False


@asynccontextmanager
async def room_to_continue(
    person: User, chat_id: uuid.UUID, reply_id: uuid.UUID
) -> AsyncIterator[None]:
    """Room to continue a reply."""
    async with room_for(person, chat_id, _events(chat_id, reply_id, _empty_reply(reply_id))):
        yield


def _empty_reply(reply_id: uuid.UUID) -> ev.MessageCreated:
    return ev.MessageCreated(message=str(reply_id), role="assistant")


def _events(chat_id: uuid.UUID, name: uuid.UUID, *events: ev.AnyEvent) -> list[Event]:
    return [
        ev.log_event(str(chat_id), event, f"{name}:{number}") for number, event in enumerate(events)
    ]


async def is_full(person: User) -> bool:
    """Whether the storage budget is used up."""
    budget = storage.budget_of(person)
    return budget > 0 and (await storage.stored_by(person)).used >= budget


async def require_room_for_draft(person: User, chat_id: uuid.UUID | None, size: int) -> None:
    """Raises StorageFull, AddressFull if a draft is longer than the stored one and exceeds a bound.

    `size` in bytes, as `Draft.size_bytes`.
    """
    stored = await sync_to_async(_draft_bytes)(person, chat_id)
    if size <= stored:
        return
    budget = storage.budget_of(person)
    if budget and (await storage.stored_by(person)).used - stored + size > budget:
        raise StorageFull(person)
    await storage.count_for_address(person, size - stored, in_log=False)


def _draft_bytes(person: User, chat_id: uuid.UUID | None) -> int:
    row = Draft.objects.filter(owner=person, chat=chat_id).first()
    return row.size_bytes if row else 0


def bytes_of_drafts() -> Coalesce:
    """The expression with which accounts/storage.py sums the drafts of each person, in bytes."""
    drafts = Draft.objects.filter(owner=OuterRef("pk")).order_by().values("owner")
    return storage.bytes_of(drafts.annotate(total=Sum("size_bytes")).values("total"))


def bytes_of_projects() -> Coalesce:
    """Likewise the names and instructions of each person's projects."""
    projects = Project.objects.filter(owner=OuterRef("pk")).order_by().values("owner")
    return storage.bytes_of(projects.annotate(total=Sum("size_bytes")).values("total"))
