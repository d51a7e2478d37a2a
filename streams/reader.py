"""Pages of a log, or of one chat's index."""

import heapq
from typing import Any

from .entries import Raw, from_index, from_log
from .keys import order, stream_keys, valid_name
from .pipe import Pipe, Script, pack

SCAN = Script("scan")
# A page of token batches is about 150 kB and keeps Redis busy for about a millisecond.
PAGE_ENTRIES = 1_000


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
        """At most `limit` entries after `after`; the id to go on from; whether there may be more.

        When there is no more, nothing with an id up to the returned one is missing, and whatever
        is appended from now on has a higher one.
        """
        if chat is not None:
            raws = await self._page_of_chat(stream, chat, after, limit, parts)
        elif parts:
            raws = from_log(await self._range(stream_keys(self._prefix, stream).log, after, limit))
        else:
            return await self._scan(stream, after, limit)
        return raws, (raws[-1][0].decode() if raws else after), len(raws) == limit

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
        self, stream: str, chat: str, after: str, limit: int, parts: bool
    ) -> list[Raw]:
        names, name = stream_keys(self._prefix, stream), valid_name(chat).encode()
        if not parts:
            return from_index(name, await self._range(names.chat(chat), after, limit))
        # Both in one transaction. Read one after the other, the second could show an entry that is
        # younger than one the first did not see yet, and the cursor would step over that one.
        both = b"".join(
            (
                pack("MULTI"),
                pack("XRANGE", names.chat(chat), f"({after}", "+", "COUNT", limit),
                pack("XRANGE", names.live(chat), f"({after}", "+", "COUNT", limit),
                pack("EXEC"),
            )
        )
        rows, live_rows = await self._pipe.submit(both, replies=4)
        raws = from_index(name, rows)
        if not live_rows:
            return raws
        merged = heapq.merge(raws, from_index(name, live_rows), key=lambda raw: order(raw[0]))
        return list(merged)[:limit]

    async def _scan(self, stream: str, after: str, limit: int) -> tuple[list[Raw], str, bool]:
        packed = SCAN.call([stream_keys(self._prefix, stream).log], after, limit)
        seen, last, rows = await self._pipe.submit(packed)
        return from_log(rows), last.decode(), seen == limit
