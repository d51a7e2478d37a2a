"""How many bytes a person's log holds, and setting some aside before something is appended.

The hash `sizes` beside each log is kept by append.lua, forget_ids.lua and erase_chat.lua, in the
same step as the entries: bytes of data as they are stored (JSON, so a control character is six), in
the log and in the copy that the chat's index has, with what Redis needs besides for each entry.
Parts are counted in the log alone: their copies go with the end of the whole. What an earlier
release appended is counted by count.lua in short steps, in any process and in several at once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from .entries import Event
from .errors import LogUnavailableError
from .keys import stream_keys, valid_name
from .pipe import Pipe, Script

COUNT = Script("count")
RESERVE = Script("reserve")
# What Redis needs for an entry of a log, one of an index, and an event id that is known for good,
# besides the data: measured with MEMORY USAGE, rounded up.
LOG_ENTRY_BYTES = 80
INDEX_ENTRY_BYTES = 40
KNOWN_ID_BYTES = 160
COSTS = (LOG_ENTRY_BYTES, INDEX_ENTRY_BYTES, KNOWN_ID_BYTES)
# What one call of count.lua looks at: about a millisecond of Redis's time.
STEP_ENTRIES = 500
STEP_BYTES = 500_000
# Longer than an append is waited for.
RESERVED_FOR_MS = 60_000
# Nobody is kept waiting for the end of what is forgotten anyway.
RELEASE_TIMEOUT_S = 1.0
ALL_WHOLE = "{sizes}:counted"

Full = Literal["", "log", "chat"]


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes that the whole log counts, and those of one chat's index. `is_whole` is False while
    entries of an earlier release are not counted yet."""

    total: int
    chat: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Bytes to set aside for `name`: in all, and of those in the index of `chat`."""

    name: str
    chat: str
    total: int
    in_index: int


def claim_for(name: str, chat: str, events: Sequence[Event]) -> Claim:
    """What appending these events, none of them a part, will count."""
    in_index = sum(len(event.whole or event.data) + INDEX_ENTRY_BYTES for event in events)
    in_log = sum(len(event.data) + LOG_ENTRY_BYTES for event in events)
    return Claim(name, chat, in_log + in_index + len(events) * KNOWN_ID_BYTES, in_index)


class Sizes:
    def __init__(self, pipe: Pipe, *, prefix: str) -> None:
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
        """Bytes that were appended, or erased (below 0), beyond those that were noted."""
        names = stream_keys(self._prefix, stream)
        total, noted = await self._pipe.execute("HMGET", names.sizes, "total", "noted")
        return int(total or 0) - int(noted or 0)

    async def note_growth(self, stream: str, size: int) -> None:
        """Somebody has counted so many bytes of it, or of what is about to be appended."""
        names = stream_keys(self._prefix, stream)
        await self._pipe.execute("HINCRBY", names.sizes, "noted", size)

    async def count(self, stream: str, steps: int | None = None) -> bool:
        """Count what an earlier release appended, in at most so many calls; True when all is."""
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
                # Those met last: chats that are talked in at the same time come in turns.
                chats = [*chats[-99:], reply.decode()]
            if steps is not None:
                steps -= 1
        return False

    async def are_whole(self) -> bool:
        """Whether somebody has noted that every log is counted."""
        found: int = await self._pipe.execute("EXISTS", f"{self._prefix}:{ALL_WHOLE}")
        return found == 1

    async def note_all_whole(self) -> None:
        await self._pipe.execute("SET", f"{self._prefix}:{ALL_WHOLE}", 1)

    async def reserve(self, stream: str, claim: Claim, *, most: int, most_of_chat: int) -> Full:
        """Set the bytes aside; "" when they fit, else what is full: then nothing is set aside.

        `most` and `most_of_chat` are bytes, 0 is any number. The same claim again counts once.
        """
        names = stream_keys(self._prefix, stream)
        args = (claim.name, valid_name(claim.chat), claim.total, claim.in_index)
        packed = RESERVE.call(
            [names.sizes, names.coming], *args, most, most_of_chat, RESERVED_FOR_MS
        )
        reply: bytes = await self._pipe.submit(packed)
        found: Full = {b"": "", b"log": "log", b"chat": "chat"}[reply]  # type: ignore[assignment]
        return found

    async def release(self, stream: str, claim: Claim) -> None:
        """What was claimed is in the log, and counted there, or will not come."""
        names = stream_keys(self._prefix, stream)
        await self._pipe.execute("HDEL", names.coming, f"{claim.chat} {claim.name}")

    @asynccontextmanager
    async def reserved(
        self, stream: str, claim: Claim, *, most: int, most_of_chat: int
    ) -> AsyncIterator[Full]:
        """reserve(), and release() at the end, unless Redis is away then. What is not released
        stays set aside for as long as the same person goes on writing, and a minute."""
        full = await self.reserve(stream, claim, most=most, most_of_chat=most_of_chat)
        try:
            yield full
        finally:
            if not full:
                with suppress(LogUnavailableError, TimeoutError):
                    async with asyncio.timeout(RELEASE_TIMEOUT_S):
                        await self.release(stream, claim)
