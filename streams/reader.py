"""Pages of a log, or of one chat's index.

Whoever reads much asks for many pages, one after the other; the others must not wait for all of
them. So of each stream one page is read at a time, and of all streams a few.
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
from .pipe import Pipe, Script, pack

PAGE = Script("page", prelude="walk")
LAST = Script("last", prelude="walk")
# A page of token batches is about 150 kB and keeps Redis busy for about two milliseconds.
PAGE_ENTRIES = 1_000
# What a page holds of data, about; a single entry may be larger.
PAGE_BYTES = 1_000_000
# Pages of different streams that one process asks for at once.
PAGES_AT_ONCE = 4
# Entries of a page that are so few are long: the next ones are read without a script.
FEW = 4
MAX_NOTED = 1_000
# Where an entry's data are among its fields: see entries.py.
LOG_DATA, INDEX_DATA = 6, 4


class Reader:
    """Belongs to one event loop."""

    def __init__(self, pipe: Pipe, *, prefix: str, timeout_ms: int) -> None:
        self._pipe = pipe
        self._prefix = prefix
        self._timeout_s = timeout_ms / 1000
        self._reading = asyncio.Semaphore(PAGES_AT_ONCE)
        # By index of a chat of which a part was read: how many of the next entries make a page.
        self._long: dict[str, int] = {}
        # By stream; one that nobody holds or waits for is gone.
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def page(
        self,
        stream: str,
        chat: str | None,
        after: str,
        limit: int = PAGE_ENTRIES,
        parts: bool = True,
    ) -> tuple[list[Raw], str, bool]:
        """At most `limit` entries after `after`, and PAGE_BYTES of them or a single one that is
        larger; the id to go on from; whether there may be more.

        When there is no more, nothing with an id up to the returned one is missing, and whatever
        is appended from now on has a higher one.
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
        """The last entries of a chat's index, at most `limit` and `max_bytes` of data, oldest
        first; parts are not among them."""
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
                raise LogUnavailableError("Redis does not answer who asked before") from None
            yield

    async def _page_of_chat(
        self, names: StreamKeys, chat: str, after: str, limit: int, parts: bool
    ) -> tuple[list[Raw], str, bool]:
        # Both in one script. Read one after the other, the second could show an entry that is
        # younger than one the first did not see yet, and the cursor would step over that one.
        keys = [names.chat(valid_name(chat)), *([names.live(chat)] if parts else [])]
        if count := self._long.pop(keys[0], 0):
            found = await self._few(keys, after, min(count, limit))
        else:
            packed = PAGE.call(keys, after, limit, PAGE_BYTES, INDEX_DATA, 0)
            found = await self._pipe.submit(packed)
        name = chat.encode()
        raws = _merged([(more == 1, last, from_index(name, rows)) for more, last, rows in found])
        shown = _page_of(raws, limit)
        more = len(shown) < len(raws) or any(more == 1 for more, _, _ in found)
        if more:
            self._note_length(keys[0], shown)
        return shown, (shown[-1][0].decode() if shown else after), more

    async def _few(self, keys: list[str], after: str, count: int) -> list[tuple[int, bytes, Any]]:
        """As the script does it, but for long entries: in Lua a megabyte takes 30 times as long."""
        reads = [pack("XRANGE", key, f"({after}", "+", "COUNT", count) for key in keys]
        packed = b"".join([pack("MULTI"), *reads, pack("EXEC")])
        found = await self._pipe.submit(packed, replies=len(keys) + 2)
        for rows in found:
            if isinstance(rows, ResponseError):
                raise rows
        return [(len(rows) == count, rows[-1][0] if rows else b"", rows) for rows in found]

    def _note_length(self, key: str, shown: list[Raw]) -> None:
        """How many of the next entries make a page, if they are as long as these and few."""
        mean_bytes = sum(len(raw[3]) for raw in shown) // max(1, len(shown))
        if mean_bytes > PAGE_BYTES // FEW:
            if len(self._long) > MAX_NOTED:
                self._long.clear()
            self._long[key] = max(1, PAGE_BYTES // mean_bytes)


def _merged(found: list[tuple[bool, bytes, list[Raw]]]) -> list[Raw]:
    """Of several streams, up to where all of them were read."""
    with_rows = [raws for _, _, raws in found if raws]
    if len(with_rows) < 2:
        return with_rows[0] if with_rows else []
    merged = heapq.merge(*with_rows, key=lambda raw: order(raw[0]))
    if not (ends := [order(last) for more, last, _ in found if more]):
        return list(merged)
    return list(itertools.takewhile(lambda raw: order(raw[0]) <= min(ends), merged))


def _page_of(raws: list[Raw], limit: int) -> list[Raw]:
    """At most so many of the first ones, and no more than PAGE_BYTES but for a single one."""
    room = PAGE_BYTES
    for number, raw in enumerate(raws[:limit]):
        room -= len(raw[3])
        if room < 0 and number > 0:
            return raws[:number]
    return raws[:limit]
