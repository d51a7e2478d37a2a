"""A guest's chats go to an account: re-appended to the account's log once, in order.

For each chat:

1. Seal the answers that are not finished: a fence no worker's token reaches. Whoever writes one is
   fenced off, and nobody can write it in the guest's log again.
2. Append the chat's entries to the account's log. Each has an id that follows from the entry it
   was, so that a second run, or one by two processes at once, adds nothing and keeps the order. The
   tokens of an answer that is not finished are put together: single ones would be remembered for
   a minute only.
3. Switch the owner, if no other answer has begun in the meantime (else from 1). Only now a worker
   may write to it again: the sealed answers' leases lapse, and the next worker goes on with them in
   the account's log, with a seam, like after any other loss of a worker.

The chat keeps its id, so its address stays. Deleted chats stay with the guest and go with them.
"""

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from chat.events import MessageCompleted, MessageDelta, MessageError, MessageReasoning
from chat.models import Chat, MessageText, Reply
from streams.cursors import is_after
from streams.log import Entry, Event, Fence, get_log

# Above every token that the queue will ever give.
SEALED = 2**52
# One append writes at most so many entries and bytes.
BATCH, BATCH_BYTES = 200, 500_000
ENDS = {MessageCompleted.type, MessageError.type}


async def hand_over(guest: User, account: User, last: bool) -> None:
    """Give the guest's chats to the account. With `last`, also what came into their log late."""
    for chat_id in await sync_to_async(_chats_of)(guest):
        await _move(chat_id, guest, account)
    if last:
        mine = await sync_to_async(_chats_of)(account)
        for chat_id in await get_log().chats(guest.stream):
            if chat_id in mine:
                await _append(chat_id, await _survey(chat_id, guest), guest, account)


def in_use(since: datetime) -> QuerySet[Any]:
    used = Q(updated_at__gte=since) | Q(replies__finished_at=None, replies__id__isnull=False)
    return Chat.objects.filter(used).values("owner_id")


async def _move(chat_id: str, guest: User, account: User) -> None:
    sealed: set[str] = set()
    while True:
        survey = await _survey(chat_id, guest)
        unfinished = await sync_to_async(_unfinished)(chat_id) | survey.unfinished
        if unfinished <= sealed:
            await _append(chat_id, survey, guest, account)
            if await sync_to_async(_switch)(chat_id, guest, account, sealed):
                return
        for reply_id in unfinished - sealed:
            await get_log().raise_fence(guest.stream, Fence(name=reply_id, token=SEALED))
        # What is read from here on is all there will ever be of these.
        sealed |= unfinished


def _switch(chat_id: str, guest: User, account: User, sealed: set[str]) -> bool:
    with transaction.atomic():
        chat = Chat.objects.select_for_update().filter(id=chat_id, owner=guest).first()
        if chat is None:
            return True  # Somebody else has brought it over, or it is gone.
        if not _unfinished(chat_id) <= sealed:
            return False
        chat.owner = account
        # Their times are those of the other log now: search reads the chat anew.
        chat.searchable_to, chat.search_due_at = "0-0", timezone.now()
        chat.save(update_fields=["owner", "searchable_to", "search_due_at"])
        MessageText.objects.filter(chat=chat).update(owner=account)
        return True


@dataclass(slots=True)
class Survey:
    """A chat up to the entry `until`: the last end of each message, by entry, and the messages with
    tokens that no end follows."""

    ends: dict[str, str] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    until: str = "0-0"


async def _survey(chat_id: str, guest: User) -> Survey:
    found = Survey()
    async for entries in get_log().slices(guest.stream, chat_id):
        for entry in entries:
            if _is_token(entry):
                found.unfinished.add(_message(entry))
            elif entry.type in ENDS:
                found.ends[_message(entry)] = entry.id
                found.unfinished.discard(_message(entry))
        found.until = entries[-1].id
    return found


async def _append(chat_id: str, survey: Survey, guest: User, account: User) -> None:
    batch: list[Event] = []
    size_bytes = 0
    async with aclosing(_events(chat_id, survey, guest)) as events:
        async for event in events:
            if batch and (len(batch) == BATCH or size_bytes + len(event.data) > BATCH_BYTES):
                await get_log().append(account.stream, batch)
                batch, size_bytes = [], 0
            batch.append(event)
            size_bytes += len(event.data)
    await get_log().append(account.stream, batch)


async def _events(chat_id: str, survey: Survey, guest: User) -> AsyncGenerator[Event, None]:
    """The entries as events of another log. Their data is the whole one of the chat's own index.

    What came after the survey is left out: tokens are joined up to where it looked, once and again.
    """
    prefix = f"joined:{guest.id.hex}"
    run: list[Entry] = []
    async for entries in get_log().slices(guest.stream, chat_id):
        for entry in entries:
            if is_after(entry.id, survey.until):
                break
            if _is_token(entry) and is_after(survey.ends.get(_message(entry), "0-0"), entry.id):
                continue  # The end that follows holds the text.
            if run and not (_is_token(entry) and _kind(entry) == _kind(run[0])):
                yield _joined(run, prefix)
                run = []
            if _is_token(entry):
                run.append(entry)
            else:
                yield _event(f"{prefix}:{entry.id}", entry)
    if run:
        yield _joined(run, prefix)


def _event(event_id: str, entry: Entry) -> Event:
    return Event(id=event_id, chat=entry.chat, type=entry.type, data=entry.data)


def _joined(run: list[Entry], prefix: str) -> Event:
    parts = [orjson.loads(entry.data) for entry in run]
    data = parts[0] | {"text": "".join(part["text"] for part in parts)}
    first = run[0]
    return Event(
        id=f"{prefix}:{first.id}", chat=first.chat, type=first.type, data=orjson.dumps(data)
    )


def _is_token(entry: Entry) -> bool:
    return entry.type in (MessageDelta.type, MessageReasoning.type)


def _kind(entry: Entry) -> tuple[str, str]:
    return entry.type, _message(entry)


def _message(entry: Entry) -> str:
    message: str = orjson.loads(entry.data)["message"]
    return message


def _chats_of(person: User) -> list[str]:
    chats = Chat.objects.filter(owner=person, deleted_at=None).order_by("created_at", "id")
    return [str(chat_id) for chat_id in chats.values_list("id", flat=True)]


def _unfinished(chat_id: str) -> set[str]:
    owed = Reply.objects.filter(chat_id=uuid.UUID(chat_id), finished_at=None)
    return {str(reply_id) for reply_id in owed.values_list("id", flat=True)}
