"""Moves a guest's chats to an account, by appending them to the account's log, once and in order.

For each chat:

1. Seal the unfinished answers, with a fence above every worker's token. Their writers are fenced
   off, and nobody can write to them in the guest's log again.
2. Append the chat's entries to the account's log, and the sound that is not stored yet. The event
   ids are derived from the entry ids, so that a repeated or concurrent run adds nothing and keeps
   the order. The deltas of an unfinished answer are joined, because the event ids of parts are only
   remembered for a minute.
3. Change the owner, unless another answer has started meanwhile (then start again at 1). From now
   on a worker may write to the chat: the leases of the sealed answers lapse, and the next worker
   continues them in the account's log, with a seam, as after any loss of a worker.

The chat keeps its id and its address. Deleted chats stay with the guest and are erased with them.
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

from accounts import sockets
from accounts.models import User
from chat.events import MessageCompleted, MessageDelta, MessageError, MessageReasoning
from chat.files.spoken.moving import copy_sounds, erase_copied
from chat.models import Chat, MessageText, Reply, StoredFile
from streams.cursors import is_after
from streams.log import Entry, Event, Fence, get_log

# Above every token that the queue will ever issue.
SEALING_TOKEN = 2**52
# How many entries and bytes one append writes at most.
BATCH, BATCH_BYTES = 200, 500_000
ENDS = {MessageCompleted.type, MessageError.type}


async def move_chats(guest: User, account: User, last: bool) -> None:
    """Move the guest's chats to the account. With `last`, also late entries of moved chats."""
    for chat_id in await sync_to_async(_chats_of)(guest):
        await _move(chat_id, guest, account)
    if last:
        moved = await sync_to_async(_chats_of)(account)
        for chat_id in await get_log().chats(guest.stream):
            if chat_id in moved:
                await _append(chat_id, await _survey(chat_id, guest), guest, account)


def recent_owners(since: datetime) -> QuerySet[Any]:
    used = Q(updated_at__gte=since) | Q(replies__finished_at=None, replies__id__isnull=False)
    return Chat.objects.filter(used).values("owner_id")


async def _move(chat_id: str, guest: User, account: User) -> None:
    sealed: set[str] = set()
    while True:
        survey = await _survey(chat_id, guest)
        unfinished = await sync_to_async(_unfinished)(chat_id) | survey.unfinished
        if unfinished <= sealed:
            await _append(chat_id, survey, guest, account)
            sounds = await copy_sounds(chat_id, guest, account)
            if await sync_to_async(_switch)(chat_id, guest, account, sealed):
                await erase_copied(sounds, guest)
                return
        for reply_id in unfinished - sealed:
            await get_log().raise_fence(guest.stream, Fence(name=reply_id, token=SEALING_TOKEN))
        # The next survey therefore reads all entries that these answers will ever have.
        sealed |= unfinished


def _switch(chat_id: str, guest: User, account: User, sealed: set[str]) -> bool:
    with transaction.atomic():
        chat = Chat.objects.select_for_update().filter(id=chat_id, owner=guest).first()
        if chat is None:
            return True  # Another process has moved it, or it was deleted.
        if not _unfinished(chat_id) <= sealed:
            return False
        chat.owner = account
        # The entry ids are those of the account's log now, so search reads the chat again.
        chat.searchable_to, chat.search_due_at = "0-0", timezone.now()
        chat.save(update_fields=["owner", "searchable_to", "search_due_at"])
        MessageText.objects.filter(chat=chat).update(owner=account)
        StoredFile.objects.filter(chat=chat).update(owner=account)
        sockets.wake_workers("search")
        return True


@dataclass(slots=True)
class Survey:
    """A chat up to the entry `until`.

    ends        message id -> id of its last end entry
    unfinished  messages with deltas after their last end
    """

    ends: dict[str, str] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    until: str = "0-0"


async def _survey(chat_id: str, guest: User) -> Survey:
    survey = Survey()
    async for entries in get_log().slices(guest.stream, chat_id):
        for entry in entries:
            if _is_delta(entry):
                survey.unfinished.add(_message(entry))
            elif entry.type in ENDS:
                survey.ends[_message(entry)] = entry.id
                survey.unfinished.discard(_message(entry))
        survey.until = entries[-1].id
    return survey


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
    """The chat's entries as events for another log, with the data of the chat's index.

    Entries after the survey are left out, so that repeated runs join the same deltas.
    """
    prefix = f"joined:{guest.id.hex}"
    run: list[Entry] = []
    async for entries in get_log().slices(guest.stream, chat_id):
        for entry in entries:
            if is_after(entry.id, survey.until):
                break
            if _is_delta(entry) and is_after(survey.ends.get(_message(entry), "0-0"), entry.id):
                continue  # The end entry contains the text.
            if run and not (_is_delta(entry) and _kind(entry) == _kind(run[0])):
                yield _join_deltas(run, prefix)
                run = []
            if _is_delta(entry):
                run.append(entry)
            else:
                yield _event(f"{prefix}:{entry.id}", entry)
    if run:
        yield _join_deltas(run, prefix)


def _event(event_id: str, entry: Entry) -> Event:
    return Event(id=event_id, chat=entry.chat, type=entry.type, data=entry.data)


def _join_deltas(run: list[Entry], prefix: str) -> Event:
    parts = [orjson.loads(entry.data) for entry in run]
    data = parts[0] | {"text": "".join(part["text"] for part in parts)}
    first = run[0]
    return Event(
        id=f"{prefix}:{first.id}", chat=first.chat, type=first.type, data=orjson.dumps(data)
    )


def _is_delta(entry: Entry) -> bool:
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
