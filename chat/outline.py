"""The outline of a chat: its messages in order, each with its parent, and the chosen branch at each
fork, without text.

Like a transcript, an outline is folded from the log, but from only a few types of events. The
database caches it with the last entry folded (`ChatOutline`), so that only later entries are read,
however long the chat is. Without that row, the whole chat is read once more.
"""

import asyncio
import uuid
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async
from django.db import IntegrityError

from accounts.models import User
from chat import events as ev
from chat.models import ChatOutline
from streams.cursors import START
from streams.log import Entry, get_log

# The outline is stored again once more bytes were read than this and than its own size.
STORE_AFTER_BYTES = 100_000
# Roughly the bytes of a message in an outline: two UUIDs as text.
MESSAGE_BYTES = 90
SHAPING = (ev.MessageCreated.type, ev.BranchChosen.type)


@dataclass(slots=True)
class Outline:
    """`messages`: role and parent of each message by its id, in the order of the log."""

    messages: dict[str, tuple[ev.Role, str | None]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    cursor: str = START

    def leaf_below(self, message_id: str) -> str:
        """The last message of the shown path through this one, as in chat/transcript.py."""
        current = message_id
        while siblings := self.children.get(current):
            current = self.chosen.get(current, siblings[-1])
        return current

    def add(self, entry: Entry) -> None:
        event = ev.parse(entry.data) if entry.type in SHAPING else None
        if isinstance(event, ev.MessageCreated):
            self._create(event.message, event.role, event.parent)
        elif isinstance(event, ev.BranchChosen) and event.message in self.messages:
            self.chosen[self.messages[event.message][1] or ""] = event.message
        self.cursor = entry.id

    def _create(self, message: str, role: ev.Role, parent: str | None) -> None:
        if message in self.messages or (parent is not None and parent not in self.messages):
            return
        self.messages[message] = role, parent
        self.children.setdefault(parent or "", []).append(message)
        self.chosen.pop(parent or "", None)

    def to_dict(self) -> dict[str, Any]:
        rows = [[message, role, parent] for message, (role, parent) in self.messages.items()]
        return {"messages": rows, "chosen": self.chosen}

    @classmethod
    def from_dict(cls, data: dict[str, Any], cursor: str) -> "Outline":
        outline = cls()
        for message, role, parent in data["messages"]:
            outline._create(message, role, parent)
        outline.chosen, outline.cursor = data["chosen"], cursor
        return outline


# One outline is folded at a time for each person, so that the next request finds the stored one.
# By event loop, then by person.
_locks: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.WeakValueDictionary[uuid.UUID, asyncio.Lock]
] = weakref.WeakKeyDictionary()


async def outline_of(owner: User, chat_id: uuid.UUID) -> Outline:
    """The outline of one of the owner's chats, up to its last entry."""
    locks = _locks.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    async with locks.setdefault(owner.id, asyncio.Lock()):
        outline = await sync_to_async(_stored)(owner.stream, chat_id)
        read_bytes = 0
        log = get_log()
        async for entries in log.slices(owner.stream, str(chat_id), outline.cursor, parts=False):
            for entry in entries:
                outline.add(entry)
            read_bytes += sum(len(entry.data) for entry in entries)
        if read_bytes > max(STORE_AFTER_BYTES, len(outline.messages) * MESSAGE_BYTES):
            await sync_to_async(_store)(owner.stream, chat_id, outline)
        return outline


def _stored(stream: str, chat_id: uuid.UUID) -> Outline:
    # An outline of another stream is useless: a chat that moved from a guest has new entry ids.
    row = ChatOutline.objects.filter(chat_id=chat_id, stream=stream).first()
    return Outline.from_dict(row.data, row.cursor) if row else Outline()


def _store(stream: str, chat_id: uuid.UUID, outline: Outline) -> None:
    known = {"stream": stream, "cursor": outline.cursor, "data": outline.to_dict()}
    with suppress(IntegrityError):  # The chat was erased meanwhile.
        ChatOutline.objects.update_or_create(chat_id=chat_id, defaults=known)
