"""The durable log: one Redis Stream per user, read and followed by entry id.

What append() returned is on disk, and nobody sees an entry earlier: with appendfsync always Redis
syncs the file before it sends any reply or wake-up of that loop turn. Following is reading: both go
on from an entry id, give every later entry once, in order, and need no other cursor.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Self, cast

from django.conf import settings
from redis.exceptions import ResponseError

from streams.server.memory import Memory

from .cursors import START, valid_cursor
from .entries import Batch, Entry, Event, Fence, to_entry
from .errors import FencedError, LogUnavailableError
from .follow import Focus, Follower
from .keys import StreamKeys, stream_keys, valid_name
from .pipe import Pipe, Script
from .reader import LAST, PAGE, PAGE_ENTRIES, Reader
from .sizes import COUNT, KNOWN_ID_BYTES, RESERVE, Sizes
from .writer import APPEND, RAISE_FENCE, Writer

__all__ = [
    "Batch",
    "Entry",
    "Event",
    "Fence",
    "FencedError",
    "Log",
    "LogUnavailableError",
    "close_log",
    "get_log",
]

COMPACT = Script("compact", prelude="walk")
ERASE_CHAT = Script("erase_chat", prelude="walk")
FORGET_IDS = Script("forget_ids")
# What one call of a chunked script looks at: a few milliseconds of Redis's time.
CHUNK_ENTRIES, CHUNK_BYTES = 500, 1_000_000
# A run of entries that may be decoded and folded in the event loop: a few milliseconds.
SLICE_ENTRIES, SLICE_BYTES = 200, 256_000
# The ids of parts are known for so long after the parts themselves are gone.
MIN_TOLD_MS = 60_000


class Log:
    """Belongs to the event loop that first uses it; close it there.

    Connects when first used. A Redis that is away, loading, full or read-only is waited for, up to
    STREAMS_APPEND_TIMEOUT_MS for each call, then the call raises LogUnavailableError.
    """

    def __init__(self, url: str | None = None) -> None:
        url = url or settings.REDIS_URL
        prefix: str = settings.STREAMS_PREFIX
        timeout_ms: int = settings.STREAMS_APPEND_TIMEOUT_MS
        self._prefix = prefix
        # Three connections, so that neither a long replay nor a slow fsync holds up the live reads.
        writing = (APPEND, RAISE_FENCE)
        reading = (PAGE, LAST, COMPACT, ERASE_CHAT, FORGET_IDS, COUNT, RESERVE)
        self._append_pipe = Pipe(url, timeout_ms=timeout_ms, scripts=writing)
        self._read_pipe = Pipe(url, timeout_ms=timeout_ms, scripts=reading)
        self._live_pipe = Pipe(url, timeout_ms=timeout_ms)
        # So that of all who go through slices one goes on in each turn of the loop.
        self._slicing = asyncio.Lock()
        self._told_ms = max(MIN_TOLD_MS, 2 * timeout_ms)
        self._writer = Writer(self._append_pipe, prefix=prefix)
        self._reader = Reader(self._read_pipe, prefix=prefix, timeout_ms=timeout_ms)
        self.sizes = Sizes(self._read_pipe, prefix=prefix)
        self.memory = Memory(self._read_pipe)
        self._follower = Follower(
            url,
            self._live_pipe,
            self._reader,
            prefix=prefix,
            poll_ms=settings.STREAMS_FOLLOW_POLL_MS,
            buffer_bytes=settings.STREAMS_FOLLOWER_BUFFER_BYTES,
        )

    async def append(
        self, stream: str, events: Sequence[Event], fence: Fence | None = None
    ) -> list[str]:
        """Append in one step, all or nothing; returns the entry ids, durable when it returns.

        An event whose id was appended before is dropped and keeps the id of its first entry.
        Raises FencedError if the fence does not stand at this token (nothing is appended), and
        LogUnavailableError: the events may or may not be there, and can be appended again as they
        are. The same goes for a call that is cancelled.
        """
        return await self._writer.append(stream, events, fence)

    async def raise_fence(self, stream: str, fence: Fence) -> None:
        """Take the name over: from now on only this token may append under it.

        Raising a fence again to where it stands is no error; FencedError if it stands higher.
        Fences are never dropped. A writer that was paused between its claim and raise_fence()
        could otherwise raise its old token after its successor is done. One costs about 80 bytes.
        """
        await self._writer.raise_fence(stream, fence)

    async def read(
        self,
        stream: str,
        chat: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        *,
        parts: bool = True,
        max_bytes: int | None = None,
    ) -> list[Entry]:
        """Entries after `after` (an entry id; None: from the start), oldest first.

        With `chat`, only that chat's own index is read, whatever else is in the log. There an event
        appended with `whole` has that as its data, and the parts of a compacted whole are gone.
        With parts=False parts are left out, and do not count for `limit`. Reading ends soon after
        more than `max_bytes` of data are found.
        """
        position = valid_cursor(after)
        found: list[Entry] = []
        size_bytes = 0
        more = limit is None or limit > 0
        while more:
            size = PAGE_ENTRIES if limit is None else min(PAGE_ENTRIES, limit - len(found))
            if not parts and chat is None:
                size = PAGE_ENTRIES  # of a scan this is what is looked at, not what is found
            raws, position, more = await self._reader.page(stream, chat, position, size, parts)
            found += map(to_entry, raws)
            size_bytes += sum(len(raw[3]) for raw in raws)
            more = more and (limit is None or len(found) < limit)
            more = more and (max_bytes is None or size_bytes <= max_bytes)
        return found if limit is None else found[:limit]

    async def read_page(
        self,
        stream: str,
        chat: str,
        after: str | None,
        limit: int = PAGE_ENTRIES,
        *,
        parts: bool = True,
    ) -> tuple[list[Entry], bool]:
        """The next entries of a chat as by read(), and whether there may be more: at most `limit`,
        and about a megabyte of data; an entry that is larger comes alone."""
        raws, _, more = await self._reader.page(stream, chat, valid_cursor(after), limit, parts)
        return list(map(to_entry, raws)), more

    async def slices(
        self, stream: str, chat: str, after: str | None = None, *, parts: bool = True
    ) -> AsyncGenerator[list[Entry], None]:
        """All entries of a chat as by read(), in runs that an event loop has time for: at most
        SLICE_ENTRIES, and SLICE_BYTES of data or a single larger entry. Between two of them the
        other tasks of the loop go on, and no more than a page is in memory."""
        more = True
        while more:
            page, more = await self.read_page(stream, chat, after, parts=parts)
            for number, run in enumerate(_runs(page)):
                if number > 0:
                    async with self._slicing:
                        await asyncio.sleep(0)
                yield run
                after = run[-1].id

    async def read_last(self, stream: str, chat: str, limit: int, most_bytes: int) -> list[Entry]:
        """The last entries of a chat's index, at most `limit` and together no longer than
        `most_bytes`, oldest first, without parts."""
        return list(map(to_entry, await self._reader.last(stream, chat, limit, most_bytes)))

    async def chats(self, stream: str) -> list[str]:
        """The chats that have entries in the log, in the order of their first ones."""
        found: dict[str, None] = {}
        position, more = START, True
        while more:
            raws, position, more = await self._reader.page(stream, None, position)
            found |= dict.fromkeys(raw[1].decode() for raw in raws)
        return list(found)

    async def tail(self, stream: str) -> str:
        """The id of the last entry; "0-0" when there is none."""
        return await self._reader.tail(stream)

    async def follow(
        self, stream: str, chat: str | None = None, after: str | None = None
    ) -> AsyncGenerator[Entry, None]:
        """Every entry after `after`, then those to come, each once, in order. Never ends by itself.

        What was there already is read as by read(); what comes later has its `data`, not `whole`.
        """
        async with aclosing(self.follow_batches(stream, chat, after)) as found:
            async for batch in found:
                for entry in batch.entries:
                    yield entry

    def follow_batches(
        self,
        stream: str,
        chat: str | None = None,
        after: str | None = None,
        *,
        parts: bool = True,
        focus: Focus = None,
    ) -> AsyncGenerator[Batch, None]:
        """follow(), in batches of one chat whose frames are shared by all who follow.

        parts      False leaves parts out (what a socket wants of the chats it does not show)
        focus      a function that names the chat whose parts are given too; those of all others
                   are left out. To change the focus without a gap, change it first, then read()
                   the chat and drop what comes twice.
        Batches are runs of one chat in the order of the log, so any cursor is a place to go on.
        Exactly one batch has live=True and no entries: the replay has caught up at its cursor.
        Memory is bounded: a follower that falls STREAMS_FOLLOWER_BUFFER_BYTES behind reads the log
        again from its place. Outages of Redis are waited out, however long.
        Close the iterator (aclosing) or cancel the task to stop following.
        """
        return self._follower.batches(stream, chat, after, parts=parts, focus=focus)

    async def compact(self, stream: str, chat: str, whole: str, until: str | None = None) -> None:
        """Drop the parts of a finished whole from the chat's index; the user's log keeps them.

        Those after the entry `until` stay: they belong to an answer that has been gone on with.

        Call it once the event with the `whole` text is appended. Doing it again, or in two
        processes at once, does no harm.
        """
        names = stream_keys(self._prefix, stream)
        keys = [names.live(valid_name(chat)), names.told(chat)]
        last = valid_cursor(until) if until is not None else "+"
        place: bytes | str | None = "-"
        while place is not None:
            args = (valid_name(whole), place, CHUNK_ENTRIES, CHUNK_BYTES, last, self._told_ms)
            place = await self._read_pipe.submit(COMPACT.call(keys, *args))

    async def erase_chat(self, stream: str, chat: str) -> None:
        """Remove all entries of a chat, and what they counted, whose writers must have stopped.

        Event ids are forgotten too: a repeated event would be a new one. May be cut short anywhere
        and done again.
        """
        names = stream_keys(self._prefix, stream)
        with suppress(LogUnavailableError):  # A full Redis does not count, and needs this the most.
            await self.sizes.count(stream)
        await self._forget_ids(names, valid_name(chat))
        of_chat = (names.chat(valid_name(chat)), names.live(chat), names.told(chat))
        await self._read_pipe.execute("UNLINK", *of_chat)
        place: bytes | str | None = "-"
        while place is not None:
            keys, bounds = [names.log, names.sizes], (CHUNK_ENTRIES, CHUNK_BYTES)
            packed = ERASE_CHAT.call(keys, chat, place, *bounds)
            place = await self._read_pipe.submit(packed)

    async def _forget_ids(self, names: StreamKeys, chat: str) -> None:
        """While the index is there, which says which entries were the chat's."""
        keys, place = [names.ids, names.sizes, names.chat(chat)], b"0"
        while place is not None:
            packed = FORGET_IDS.call(keys, place, CHUNK_ENTRIES, KNOWN_ID_BYTES)
            place = await self._read_pipe.submit(packed)

    async def erase(self, stream: str) -> bool:
        """Remove the whole log, fences and event ids too; False if nothing of it was there.

        Its writers must have stopped.
        """
        names = stream_keys(self._prefix, stream)
        chats = await self.chats(stream)
        kinds = (names.chat, names.live, names.told)
        keys = [key(chat) for chat in chats for key in kinds]
        # The log goes last: if this is cut short, a second run still finds the chats.
        keys += [names.ids, names.fences, names.sizes, names.coming, names.log]
        removed = 0
        for start in range(0, len(keys), CHUNK_ENTRIES):
            some = keys[start : start + CHUNK_ENTRIES]
            removed += cast(int, await self._read_pipe.execute("UNLINK", *some))
        return removed > 0

    async def rewrite_files(self) -> None:
        """Have Redis write its append-only file anew, without what was erased. A hint: it is done
        in the background, or not at all where that is under way already or not ours to ask for."""
        with suppress(ResponseError):
            await self._read_pipe.execute("BGREWRITEAOF")

    async def aclose(self) -> None:
        """Calls under way raise LogUnavailableError. Followers must have been closed before."""
        await self._follower.aclose()
        for pipe in (self._append_pipe, self._read_pipe, self._live_pipe):
            await pipe.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _runs(entries: list[Entry]) -> Iterator[list[Entry]]:
    run: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        size_bytes += len(entry.data)
        if run and (size_bytes > SLICE_BYTES or len(run) == SLICE_ENTRIES):
            yield run
            run, size_bytes = [], len(entry.data)
        run.append(entry)
    if run:
        yield run


_logs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Log] = weakref.WeakKeyDictionary()


def get_log() -> Log:
    """The log of the running event loop, made on first use.

    A loop that ends before the process does (a command, a test) calls close_log() first.
    """
    loop = asyncio.get_running_loop()
    log = _logs.get(loop)
    if log is None:
        log = _logs[loop] = Log()
    return log


async def close_log() -> None:
    """Close the running loop's log, if it has one. The next get_log() makes a new one."""
    log = _logs.pop(asyncio.get_running_loop(), None)
    if log is not None:
        await log.aclose()
