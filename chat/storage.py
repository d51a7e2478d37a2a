"""Room for what is about to be said: asked for before anything is written, and kept until it is.

The bytes are set aside in one step (streams/lua/reserve.lua), so that requests that come at the
same time pass no bound together. An answer is not counted before it is there: each send may go
beyond the budget by its own answer. Drafts are in the database: those that are written in the same
instant do not see each other.
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
from chat.models import Draft, Reply
from streams.log import Event, get_log
from streams.sizes import Claim, claim_for


@asynccontextmanager
async def room_for(
    person: User | None, chat_id: uuid.UUID, events: Sequence[Event], *, is_text: bool = True
) -> AsyncIterator[None]:
    """Within it the events may be appended to the person's log; None is a visitor, who has none.

    Raises StorageBusy, StorageFull, AddressFull and, for what makes the chat longer, ChatFull.
    """
    await storage.require_memory(person)
    claim = claim_for(events[0].id, str(chat_id), events)
    if person is None:
        if 0 < settings.LIMIT_STORED_BYTES_GUEST < claim.total:
            raise StorageFull
        await storage.count_for_address(None, claim.total)
        yield
        return
    most, most_of_chat = await storage.room_in_log(person), settings.LIMIT_CHAT_BYTES
    async with _reserved(person, claim, most, most_of_chat if is_text else 0):
        await storage.count_for_address(person, claim.total)
        yield


@asynccontextmanager
async def _reserved(
    person: User, claim: Claim, most: int, most_of_chat: int
) -> AsyncIterator[None]:
    if not most and not most_of_chat:
        yield
        return
    sizes = get_log().sizes
    async with sizes.reserved(person.stream, claim, most=most, most_of_chat=most_of_chat) as full:
        if full == "log":
            raise StorageFull(person)
        if full == "chat":
            raise ChatFull
        yield


@asynccontextmanager
async def room_for_send(
    person: User | None, chat_id: uuid.UUID, message_id: uuid.UUID, text: str
) -> AsyncIterator[None]:
    """Room for a message and the reply that is owed; one that was placed before has it."""
    reply_id = Reply.id_for_message(message_id)
    message = ev.MessageCreated(message=str(message_id), role="user", text=text)
    async with _room_for_order(person, chat_id, reply_id, message):
        yield


@asynccontextmanager
async def room_for_regeneration(
    person: User, chat_id: uuid.UUID, reply_id: uuid.UUID
) -> AsyncIterator[None]:
    """Room for another reply; one that was placed before has it."""
    async with _room_for_order(person, chat_id, reply_id):
        yield


@asynccontextmanager
async def room_to_continue(
    person: User, chat_id: uuid.UUID, reply_id: uuid.UUID
) -> AsyncIterator[None]:
    """Room to continue an answer."""
    async with room_for(person, chat_id, _events(chat_id, reply_id, _owed(reply_id))):
        yield


@asynccontextmanager
async def _room_for_order(
    person: User | None, chat_id: uuid.UUID, reply_id: uuid.UUID, *more: ev.AnyEvent
) -> AsyncIterator[None]:
    if await Reply.objects.filter(id=reply_id).aexists():
        yield
        return
    async with room_for(person, chat_id, _events(chat_id, reply_id, _owed(reply_id), *more)):
        yield


def _owed(reply_id: uuid.UUID) -> ev.MessageCreated:
    return ev.MessageCreated(message=str(reply_id), role="assistant")


def _events(chat_id: uuid.UUID, name: uuid.UUID, *events: ev.AnyEvent) -> list[Event]:
    return [
        ev.log_event(str(chat_id), event, f"{name}:{number}") for number, event in enumerate(events)
    ]


async def is_full(person: User) -> bool:
    """Whether nothing more may be stored, however small."""
    budget = storage.budget_of(person)
    return budget > 0 and (await storage.stored_by(person)).used >= budget


async def require_room_for_draft(person: User, chat_id: uuid.UUID | None, size: int) -> None:
    """Raises StorageFull, AddressFull for a draft that is longer than the one it replaces."""
    before = await sync_to_async(_draft_bytes)(person, chat_id)
    if size <= before:
        return
    budget = storage.budget_of(person)
    if budget and (await storage.stored_by(person)).used - before + size > budget:
        raise StorageFull(person)
    await storage.count_for_address(person, size - before, in_log=False)


def _draft_bytes(person: User, chat_id: uuid.UUID | None) -> int:
    row = Draft.objects.filter(owner=person, chat=chat_id).first()
    return row.size_bytes if row else 0


def bytes_of_drafts() -> Coalesce:
    """For accounts/storage.py."""
    drafts = Draft.objects.filter(owner=OuterRef("pk")).order_by().values("owner")
    return storage.bytes_of(drafts.annotate(total=Sum("size_bytes")).values("total"))
