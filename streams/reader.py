"""Pages of a log, or of one chat's index.

A long read takes many pages, and other readers must not wait for all of them. So only one page of a
stream is read at a time, and a few pages of all streams together.
"""

import asyncio
import heapq
import itertools
import weakref
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from redis.exceptions import ResponseError

from .cursors import order
from .entries import Raw, from_index, from_log
from .errors import LogUnavailableError
from .keys import StreamKeys, stream_keys, valid_name
from .pipe import PipelinedConnection, Script, pack

PAGE = Script("page", prelude="walk")
LAST = Script("last", prelude="walk")
# A page of token batches is about 150 kB and takes Redis about two milliseconds.
PAGE_ENTRIES = 1_000
# The approximate data size of a page; a single entry may be larger.
PAGE_BYTES = 1_000_000
# How many pages, each of another stream, an event loop reads at once.
PAGES_AT_ONCE = 4
# If so few entries fill a page, they are long, and the next ones are read without a script.
FEW = 4
MAX_NOTED = 1_000
# The position of the data among an entry's fields (entries.py).
LOG_DATA, INDEX_DATA = 6, 4


class Reader:
    """Belongs to one event loop."""

    def __init__(self, pipe: PipelinedConnection, *, prefix: str, timeout_ms: int) -> None:
        self._pipe = pipe
        self._prefix = prefix
        self._timeout_s = timeout_ms / 1000
        self._reading = asyncio.Semaphore(PAGES_AT_ONCE)
        # Index key of a chat with long entries -> how many of its next entries fill a page.
        self._long: dict[str, int] = {}
        # By stream. A lock is dropped when nobody holds it or waits for it.
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def page(
        self,
        stream: str,
        chat: str | None,
        after: str,
        limit: int = PAGE_ENTRIES,
        parts: bool = True,
    ) -> tuple[list[Raw], str, bool]:
        """Read (entries, id to continue from, whether there may be more).

        At most `limit` entries after `after`, with at most PAGE_BYTES of data or a single larger
        entry. If there are no more, no entry up to the returned id is missing, and later appends
        get higher ids.
        """
        names = stream_keys(self._prefix, stream)
        async with self._locked(stream):
            if chat is not None:
                return await self._page_of_chat(names, chat, after, limit, parts)
            packed = PAGE.call([names.log], after, limit, PAGE_BYTES, LOG_DATA, 0 if parts else 1)
            [(more, last, rows)] = await self._pipe.submit(packed)
            return from_log(rows), last.decode(), more == 1

    async def tail(self, stream: str) -> str:
        key = stream_keys(self._prefix, stream).log
        rows = await self._pipe.execute("XREVRANGE", key, "+", "-", "COUNT", 1)
        return rows[0][0].decode() if rows else "0-0"

    async def last(self, stream: str, chat: str, limit: int, max_bytes: int) -> list[Raw]:
        """The last entries of a chat's index, oldest first, without parts: at most `limit`, with at
        most `max_bytes` of data together."""
        key = stream_keys(self._prefix, stream).chat(valid_name(chat))
        async with self._locked(stream):
            rows = await self._pipe.submit(LAST.call([key], limit, max_bytes, INDEX_DATA))
        return from_index(chat.encode(), rows[::-1])

    @asynccontextmanager
    async def _locked(self, stream: str) -> AsyncGenerator[None, None]:
        lock = self._locks.setdefault(stream, asyncio.Lock())
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await held.enter_async_context(lock)
                    await held.enter_async_context(self._reading)
            except TimeoutError:
                raise LogUnavailableError("earlier reads still wait for Redis") from None
            yield

    async def _page_of_chat(
        self, names: StreamKeys, chat: str, after: str, limit: int, parts: bool
    ) -> tuple[list[Raw], str, bool]:
        # Both streams are read in one script. If they were read one after the other, the second
        # read could return an entry that is newer than one the first read missed, and the cursor
        # would skip that one.
        keys = [names.chat(valid_name(chat)), *([names.live(chat)] if parts else [])]
        if count := self._long.pop(keys[0], 0):
            pages = await self._read_few(keys, after, min(count, limit))
        else:
            packed = PAGE.call(keys, after, limit, PAGE_BYTES, INDEX_DATA, 0)
            pages = await self._pipe.submit(packed)
        name = chat.encode()
        raws = _merge([(more == 1, last, from_index(name, rows)) for more, last, rows in pages])
        shown = _truncate(raws, limit)
        more = len(shown) < len(raws) or any(more == 1 for more, _, _ in pages)
        if more:
            self._note_length(keys[0], shown)
        return shown, (shown[-1][0].decode() if shown else after), more

    async def _read_few(
        self, keys: list[str], after: str, count: int
    ) -> list[tuple[int, bytes, Any]]:
        """Like page.lua, but for long entries: in Lua, a megabyte takes 30 times as long."""
        reads = [pack("XRANGE", key, f"({after}", "+", "COUNT", count) for key in keys]
        packed = b"".join([pack("MULTI"), *reads, pack("EXEC")])
        replies = await self._pipe.submit(packed, replies=len(keys) + 2)
        for rows in replies:
            if isinstance(rows, ResponseError):
                raise rows
        return [(len(rows) == count, rows[-1][0] if rows else b"", rows) for rows in replies]

    def _note_length(self, key: str, shown: list[Raw]) -> None:
        """Note how many entries fill a page if the next ones are as long as these and few."""
        mean_bytes = sum(len(raw[3]) for raw in shown) // max(1, len(shown))
        if mean_bytes > PAGE_BYTES // FEW:
            if len(self._long) > MAX_NOTED:
                self._long.clear()
            self._long[key] = max(1, PAGE_BYTES // mean_bytes)


def _merge(pages: list[tuple[bool, bytes, list[Raw]]]) -> list[Raw]:
    """Merge (more, last id, entries) of several streams, up to where all of them were read."""
    with_rows = [raws for _, _, raws in pages if raws]
    if len(with_rows) < 2:
        return with_rows[0] if with_rows else []
    merged = heapq.merge(*with_rows, key=lambda raw: order(raw[0]))
    if not (ends := [order(last) for more, last, _ in pages if more]):
        return list(merged)
    return list(itertools.takewhile(lambda raw: order(raw[0]) <= min(ends), merged))


def _truncate(raws: list[Raw], limit: int) -> list[Raw]:
    """The first entries: at most `limit`, with PAGE_BYTES of data or a single larger one."""
    room = PAGE_BYTES
    for number, raw in enumerate(raws[:limit]):
        room -= len(raw[3])
        if room < 0 and number > 0:
            return raws[:number]
    return raws[:limit]
