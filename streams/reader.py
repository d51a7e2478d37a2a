"""Pages of a log, or of one chat's index."""

import heapq
import itertools
from typing import Any

from .entries import Raw, from_index, from_log
from .keys import StreamKeys, order, stream_keys, valid_name
from .pipe import Pipe, Script

PAGE = Script("page")
# A page of token batches is about 150 kB and keeps Redis busy for about two milliseconds.
PAGE_ENTRIES = 1_000
# What a page holds of data, about; a single entry may be larger.
PAGE_BYTES = 1_000_000
# Where an entry's data are among its fields: see entries.py.
LOG_DATA, INDEX_DATA = 6, 4


class Reader:
    def __init__(self, pipe: Pipe, *, prefix: str) -> None:
        self._pipe = pipe
        self._prefix = prefix

    async def page(
        self,
        stream: str,
        chat: str | None,
        after: str,
        limit: int = PAGE_ENTRIES,
        parts: bool = True,
    ) -> tuple[list[Raw], str, bool]:
        """At most `limit` entries after `after`, and of a chat, or without parts, PAGE_BYTES of
        them; the id to go on from; whether there may be more.

        When there is no more, nothing with an id up to the returned one is missing, and whatever
        is appended from now on has a higher one.
        """
        names = stream_keys(self._prefix, stream)
        if chat is not None:
            return await self._page_of_chat(names, chat, after, limit, parts)
        if parts:
            raws = from_log(await self._range(names.log, after, limit))
            return raws, (raws[-1][0].decode() if raws else after), len(raws) == limit
        packed = PAGE.call([names.log], after, limit, PAGE_BYTES, LOG_DATA, 1)
        [(more, last, rows)] = await self._pipe.submit(packed)
        return from_log(rows), last.decode(), more == 1

    async def tail(self, stream: str) -> str:
        key = stream_keys(self._prefix, stream).log
        rows = await self._pipe.execute("XREVRANGE", key, "+", "-", "COUNT", 1)
        return rows[0][0].decode() if rows else "0-0"

    async def last(self, stream: str, chat: str, limit: int) -> list[Raw]:
        """The last `limit` entries of a chat's index, oldest first; parts are not among them."""
        key = stream_keys(self._prefix, stream).chat(valid_name(chat))
        rows = await self._pipe.execute("XREVRANGE", key, "+", "-", "COUNT", limit)
        return from_index(chat.encode(), rows[::-1])

    async def _range(self, key: str, after: str, limit: int) -> Any:
        return await self._pipe.execute("XRANGE", key, f"({after}", "+", "COUNT", limit)

    async def _page_of_chat(
        self, names: StreamKeys, chat: str, after: str, limit: int, parts: bool
    ) -> tuple[list[Raw], str, bool]:
        # Both in one script. Read one after the other, the second could show an entry that is
        # younger than one the first did not see yet, and the cursor would step over that one.
        keys = [names.chat(valid_name(chat)), *([names.live(chat)] if parts else [])]
        packed = PAGE.call(keys, after, limit, PAGE_BYTES, INDEX_DATA, 0)
        found = await self._pipe.submit(packed)
        name = chat.encode()
        raws = _merged([(more == 1, last, from_index(name, rows)) for more, last, rows in found])
        shown = _page_of(raws, limit)
        more = len(shown) < len(raws) or any(more == 1 for more, _, _ in found)
        return shown, (shown[-1][0].decode() if shown else after), more


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
