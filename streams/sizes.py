"""How many bytes a person's log has, and reservations of bytes before an append.

append.lua, forget_ids.lua and erase_chat.lua update the hash `sizes` of a log together with its
entries. It counts the bytes of data as stored (JSON, so a control character takes six), in the log
and in the copies of the chat's index, and Redis's overhead for each entry. Parts are counted in the
log only: their copies are removed when the whole ends. count.lua counts what an earlier release
appended, in short steps; several processes may do so at once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from .entries import Event
from .errors import LogUnavailableError
from .keys import stream_keys, valid_name
from .pipe import PipelinedConnection, Script

COUNT = Script("count")
RESERVE = Script("reserve")
# Redis's overhead for an entry of a log, an entry of an index, and a permanent event id: measured
# with MEMORY USAGE, rounded up.
LOG_ENTRY_BYTES = 80
INDEX_ENTRY_BYTES = 40
KNOWN_ID_BYTES = 160
COSTS = (LOG_ENTRY_BYTES, INDEX_ENTRY_BYTES, KNOWN_ID_BYTES)
# How much one call of count.lua reads: about a millisecond of Redis's time.
STEP_ENTRIES = 500
STEP_BYTES = 500_000
# Longer than the timeout of an append.
RESERVED_FOR_MS = 60_000
# Short, because a reservation that is not released expires anyway.
RELEASE_TIMEOUT_S = 1.0
ALL_WHOLE = "{sizes}:counted"

Full = Literal["", "log", "chat"]


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of the whole log and of one chat's index. `is_whole` is False while entries of an
    earlier release are not counted yet."""

    total: int
    chat: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Bytes to reserve under `name`: in total, and the share of them in the index of `chat`."""

    name: str
    chat: str
    total: int
    in_index: int


def claim_for(name: str, chat: str, events: Sequence[Event]) -> Claim:
    """The bytes that appending these events will count. None of them may be a part."""
    in_index = sum(len(event.whole or event.data) + INDEX_ENTRY_BYTES for event in events)
    in_log = sum(len(event.data) + LOG_ENTRY_BYTES for event in events)
    return Claim(name, chat, in_log + in_index + len(events) * KNOWN_ID_BYTES, in_index)


class Sizes:
    def __init__(self, pipe: PipelinedConnection, *, prefix: str) -> None:
        self._pipe = pipe
        self._prefix = prefix

    async def of(self, stream: str, chat: str | None = None) -> Size:
        names = stream_keys(self._prefix, stream)
        fields = ["total", "until", f"i:{valid_name(chat)}" if chat else "-"]
        total, until, index = await self._pipe.execute("HMGET", names.sizes, *fields)
        is_whole = until is None and (
            total is not None or not await self._pipe.execute("EXISTS", names.log)
        )
        return Size(int(total or 0), int(index or 0), is_whole)

    async def growth(self, stream: str) -> int:
        """Bytes appended (or erased, if negative) since the last note_growth()."""
        names = stream_keys(self._prefix, stream)
        total, noted = await self._pipe.execute("HMGET", names.sizes, "total", "noted")
        return int(total or 0) - int(noted or 0)

    async def note_growth(self, stream: str, size: int) -> None:
        """Record `size` bytes of growth, or of a coming append, as accounted for."""
        names = stream_keys(self._prefix, stream)
        await self._pipe.execute("HINCRBY", names.sizes, "noted", size)

    async def count(self, stream: str, steps: int | None = None) -> bool:
        """Count what an earlier release appended, in at most `steps` calls. True when complete."""
        names = stream_keys(self._prefix, stream)
        chats: list[str] = []
        while steps is None or steps > 0:
            keys = [names.log, names.sizes, *map(names.chat, chats)]
            reply = await self._pipe.submit(
                COUNT.call(keys, STEP_ENTRIES, STEP_BYTES, *COSTS, *chats)
            )
            if reply == 0:
                return True
            if isinstance(reply, bytes):
                # Keep the most recent chats: entries of concurrent chats alternate.
                chats = [*chats[-99:], reply.decode()]
            if steps is not None:
                steps -= 1
        return False

    async def are_whole(self) -> bool:
        """Whether note_all_whole() has recorded that every log is counted."""
        exists: int = await self._pipe.execute("EXISTS", f"{self._prefix}:{ALL_WHOLE}")
        return exists == 1

    async def note_all_whole(self) -> None:
        await self._pipe.execute("SET", f"{self._prefix}:{ALL_WHOLE}", 1)

    async def reserve(self, stream: str, claim: Claim, *, most: int, most_of_chat: int) -> Full:
        """Reserve the bytes. Returns "", or what is full, in which case nothing is reserved.

        `most` and `most_of_chat` are limits in bytes; 0 is no limit. A repeated claim counts once.
        """
        names = stream_keys(self._prefix, stream)
        args = (claim.name, valid_name(claim.chat), claim.total, claim.in_index)
        packed = RESERVE.call(
            [names.sizes, names.coming], *args, most, most_of_chat, RESERVED_FOR_MS
        )
        reply: bytes = await self._pipe.submit(packed)
        full: Full = {b"": "", b"log": "log", b"chat": "chat"}[reply]  # type: ignore[assignment]
        return full

    async def release(self, stream: str, claim: Claim) -> None:
        """Drop a reservation: its events are in the log and counted, or will not be appended."""
        names = stream_keys(self._prefix, stream)
        await self._pipe.execute("HDEL", names.coming, f"{claim.chat} {claim.name}")

    @asynccontextmanager
    async def reserved(
        self, stream: str, claim: Claim, *, most: int, most_of_chat: int
    ) -> AsyncIterator[Full]:
        """Call reserve(), and release() at the end, unless Redis is unavailable then. Without a
        release, the bytes stay reserved until the person has reserved nothing for a minute."""
        full = await self.reserve(stream, claim, most=most, most_of_chat=most_of_chat)
        try:
            yield full
        finally:
            if not full:
                with suppress(LogUnavailableError, TimeoutError):
                    async with asyncio.timeout(RELEASE_TIMEOUT_S):
                        await self.release(stream, claim)
