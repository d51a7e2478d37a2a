"""The durable log: one Redis Stream per user, read and followed by entry id.

When append() returns, its entries are on disk, and nobody sees them earlier: with appendfsync
always, Redis syncs the file before it sends any reply or wake-up of that turn of its event loop.
Reading and following work alike: both continue from an entry id and yield every later entry once,
in order.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, cast

from django.conf import settings
from redis.exceptions import ResponseError

from streams.server.memory import Memory

from .cursors import START, valid_cursor
from .entries import Batch, Entry, Event, Fence, Raw, to_entry
from .errors import FencedError, LogUnavailableError
from .follow import Focus, Follower
from .keys import StreamKeys, stream_keys, valid_name
from .pipe import PipelinedConnection, Script
from .reader import LAST, PAGE, PAGE_ENTRIES, Reader
from .sizes import COUNT, KNOWN_ID_BYTES, RESERVE, Sizes
from .sound.sounds import APPEND_SOUND, Sounds
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
    "end_slice",
    "get_log",
]

COMPACT = Script("compact", prelude="walk")
ERASE_CHAT = Script("erase_chat", prelude="walk")
FORGET_IDS = Script("forget_ids")
# How much one call of a chunked script reads: a few milliseconds of Redis's time.
CHUNK_ENTRIES, CHUNK_BYTES = 500, 1_000_000
# How much is decoded and folded in the event loop at a time: a few milliseconds.
SLICE_ENTRIES, SLICE_BYTES = 200, 256_000
# How long the ids of parts are remembered after the parts themselves are removed.
MIN_PART_IDS_MS = 60_000


class Log:
    """Belongs to the event loop that first uses it; close it there.

    Connects when first used. Each call waits up to STREAMS_APPEND_TIMEOUT_MS for a Redis that is
    unreachable, loading, full or read-only, and then raises LogUnavailableError.
    """

    def __init__(self, url: str | None = None) -> None:
        url = url or settings.REDIS_URL
        prefix: str = settings.STREAMS_PREFIX
        timeout_ms: int = settings.STREAMS_APPEND_TIMEOUT_MS
        self._prefix = prefix
        # Three connections, so that neither a long replay nor a slow fsync delays live reads.
        writing = (APPEND, RAISE_FENCE, APPEND_SOUND)
        reading = (PAGE, LAST, COMPACT, ERASE_CHAT, FORGET_IDS, COUNT, RESERVE)
        self._append_pipe = PipelinedConnection(url, timeout_ms=timeout_ms, scripts=writing)
        self._read_pipe = PipelinedConnection(url, timeout_ms=timeout_ms, scripts=reading)
        self._live_pipe = PipelinedConnection(url, timeout_ms=timeout_ms)
        self._part_ids_ms = max(MIN_PART_IDS_MS, 2 * timeout_ms)
        self._writer = Writer(self._append_pipe, prefix=prefix)
        self._reader = Reader(self._read_pipe, prefix=prefix, timeout_ms=timeout_ms)
        self.sizes = Sizes(self._read_pipe, prefix=prefix)
        self.memory = Memory(self._read_pipe)
        self.sounds = Sounds(self._append_pipe, self._read_pipe, url, prefix=prefix)
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
        """Append the events atomically and return their entry ids, once they are durable.

        An event whose id was appended before is dropped and keeps the id of its first entry.
        Raises FencedError, with nothing appended, if the fence has another token. Raises
        LogUnavailableError if the events may or may not have been appended; the same events can be
        appended again, also after a call was cancelled.
        """
        return await self._writer.append(stream, events, fence)

    async def raise_fence(self, stream: str, fence: Fence) -> None:
        """Take over the name: from now on only this token may append under it.

        Raising a fence to its present token is not an error. Raises FencedError if it is higher.
        Fences are never removed: otherwise a writer that was paused between its claim and
        raise_fence() could raise its old token after its successor has finished. A fence takes
        about 80 bytes.
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
        """The entries after `after` (an entry id; None: from the start), oldest first.

        With `chat`, only that chat's index is read. In it, an event that was appended with `whole`
        has that as its data, and the parts of a compacted whole are absent. With parts=False, parts
        are left out and do not count towards `limit`. Reading ends with the page on which the data
        exceed `max_bytes`.
        """
        position = valid_cursor(after)
        entries: list[Entry] = []
        size_bytes = 0
        more = limit is None or limit > 0
        while more:
            size = PAGE_ENTRIES if limit is None else min(PAGE_ENTRIES, limit - len(entries))
            if not parts and chat is None:
                size = PAGE_ENTRIES  # limits the entries scanned, not those returned
            raws, position, more = await self._reader.page(stream, chat, position, size, parts)
            entries += map(to_entry, raws)
            size_bytes += sum(len(raw[3]) for raw in raws)
            more = more and (limit is None or len(entries) < limit)
            more = more and (max_bytes is None or size_bytes <= max_bytes)
        return entries if limit is None else entries[:limit]

    async def read_page(
        self,
        stream: str,
        chat: str,
        after: str | None,
        limit: int = PAGE_ENTRIES,
        *,
        parts: bool = True,
    ) -> tuple[list[Entry], bool]:
        """One page of a chat, as by read(), and whether there may be more.

        A page has at most `limit` entries and about a megabyte of data; a larger entry forms a page
        of its own.
        """
        raws, _, more = await self._reader.page(stream, chat, valid_cursor(after), limit, parts)
        return list(map(to_entry, raws)), more

    async def slices(
        self, stream: str, chat: str, after: str | None = None, *, parts: bool = True
    ) -> AsyncGenerator[list[Entry], None]:
        """Yield all entries of a chat, as by read(), in slices that do not block the event loop.

        A slice has at most SLICE_ENTRIES entries and SLICE_BYTES of data, or one larger entry.
        Other tasks run between two slices, and no more than a page is in memory.
        """
        position, more = valid_cursor(after), True
        while more:
            page, position, more = await self._reader.page(stream, chat, position, parts=parts)
            for number, run in enumerate(_runs(page)):
                if number > 0:
                    await end_slice()
                yield list(map(to_entry, run))

    async def read_last(self, stream: str, chat: str, limit: int, most_bytes: int) -> list[Entry]:
        """The last entries of a chat's index, oldest first, without parts: at most `limit`, with at
        most `most_bytes` of data together."""
        return list(map(to_entry, await self._reader.last(stream, chat, limit, most_bytes)))

    async def chats(self, stream: str) -> list[str]:
        """The chats with entries in the log, in the order of their first entries."""
        chats: dict[str, None] = {}
        position, more = START, True
        while more:
            raws, position, more = await self._reader.page(stream, None, position)
            chats |= dict.fromkeys(raw[1].decode() for raw in raws)
        return list(chats)

    async def tail(self, stream: str) -> str:
        """The id of the last entry; "0-0" if there is none."""
        return await self._reader.tail(stream)

    def follow_batches(
        self,
        stream: str,
        chat: str | None = None,
        after: str | None = None,
        *,
        parts: bool = True,
        focus: Focus = None,
    ) -> AsyncGenerator[Batch, None]:
        """Yield every entry after `after`, then new ones, each once and in order. Never ends.

        chat       follow only this chat
        parts      False leaves parts out
        focus      a function that returns the chat whose parts are included; the parts of all
                   other chats are left out. To change the focus without a gap, change it first,
                   then read() the chat and drop duplicates.

        Entries come in batches: runs of one chat in the order of the log, so a reader can continue
        from any batch's cursor. All followers share a batch and its frames. Stored entries are read
        as by read(); new ones have their `data`, not `whole`. Exactly one batch has live=True and
        no entries: the replay has caught up at its cursor.

        Memory is bounded: a follower that is STREAMS_FOLLOWER_BUFFER_BYTES behind reads the log
        again from its position. It waits for Redis through outages of any length.
        Close the iterator (aclosing) or cancel the task to stop following.
        """
        return self._follower.batches(stream, chat, after, parts=parts, focus=focus)

    async def compact(self, stream: str, chat: str, whole: str, until: str | None = None) -> None:
        """Remove the parts of a finished whole from the chat's index; the user's log keeps them.

        Parts after the entry `until` stay: they belong to an answer that was continued. Call it
        after appending the event with the `whole` text. Repeated and concurrent calls are harmless.
        """
        names = stream_keys(self._prefix, stream)
        keys = [names.live(valid_name(chat)), names.part_ids(chat)]
        last = valid_cursor(until) if until is not None else "+"
        place: bytes | str | None = "-"
        while place is not None:
            args = (valid_name(whole), place, CHUNK_ENTRIES, CHUNK_BYTES, last, self._part_ids_ms)
            place = await self._read_pipe.submit(COMPACT.call(keys, *args))

    async def erase_chat(self, stream: str, chat: str) -> None:
        """Remove all entries of a chat and their counted bytes. Its writers must have stopped.

        Event ids are removed too, so a repeated event would become a new entry. May be interrupted
        at any point and repeated.
        """
        names = stream_keys(self._prefix, stream)
        # A full Redis cannot count, but must still be able to erase.
        with suppress(LogUnavailableError):
            await self.sizes.count(stream)
        await self._forget_ids(names, valid_name(chat))
        of_chat = (names.chat(valid_name(chat)), names.live(chat), names.part_ids(chat))
        await self._read_pipe.execute("UNLINK", *of_chat)
        place: bytes | str | None = "-"
        while place is not None:
            keys, bounds = [names.log, names.sizes], (CHUNK_ENTRIES, CHUNK_BYTES)
            packed = ERASE_CHAT.call(keys, chat, place, *bounds)
            place = await self._read_pipe.submit(packed)

    async def _forget_ids(self, names: StreamKeys, chat: str) -> None:
        """Remove a chat's event ids. Needs the chat's index, which lists its entries."""
        keys, place = [names.ids, names.sizes, names.chat(chat)], b"0"
        while place is not None:
            packed = FORGET_IDS.call(keys, place, CHUNK_ENTRIES, KNOWN_ID_BYTES)
            place = await self._read_pipe.submit(packed)

    async def erase(self, stream: str) -> bool:
        """Remove the whole log, including fences, event ids and sounds. False if it did not exist.

        Its writers must have stopped.
        """
        names = stream_keys(self._prefix, stream)
        await self.sounds.erase_all(stream)
        chats = await self.chats(stream)
        kinds = (names.chat, names.live, names.part_ids)
        keys = [key(chat) for chat in chats for key in kinds]
        # The log goes last: if this is interrupted, a second run still finds the chats.
        keys += [names.ids, names.fences, names.sizes, names.coming, names.log]
        removed = 0
        for start in range(0, len(keys), CHUNK_ENTRIES):
            chunk = keys[start : start + CHUNK_ENTRIES]
            removed += cast(int, await self._read_pipe.execute("UNLINK", *chunk))
        return removed > 0

    async def rewrite_files(self) -> None:
        """Ask Redis to rewrite its append-only file, without erased entries.

        Redis does it in the background, or not at all if a rewrite is running or not permitted.
        """
        with suppress(ResponseError):
            await self._read_pipe.execute("BGREWRITEAOF")

    async def aclose(self) -> None:
        """Close the connections. Pending calls raise LogUnavailableError. Close followers first."""
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


def _runs(page: list[Raw]) -> Iterator[list[Raw]]:
    run: list[Raw] = []
    size_bytes = 0
    for raw in page:
        size_bytes += len(raw[3])
        if run and (size_bytes > SLICE_BYTES or len(run) == SLICE_ENTRIES):
            yield run
            run, size_bytes = [], len(raw[3])
        run.append(raw)
    if run:
        yield run


# By event loop. Whoever holds the lock continues in the next turn of the loop.
_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
    weakref.WeakKeyDictionary()
)


async def end_slice() -> None:
    """Let the other tasks of the loop run. Call it between two slices of long work.

    Only one of all callers continues in each turn of the loop, so many tasks with long work
    together delay the others no longer than one does.
    """
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)


_logs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Log] = weakref.WeakKeyDictionary()


def get_log() -> Log:
    """The log of the running event loop, created on first use.

    In a loop that ends before its process (a command, a test), call close_log() at the end.
    """
    loop = asyncio.get_running_loop()
    log = _logs.get(loop)
    if log is None:
        log = _logs[loop] = Log()
    return log


async def close_log() -> None:
    """Close the running loop's log, if it has one. The next get_log() creates a new one."""
    log = _logs.pop(asyncio.get_running_loop(), None)
    if log is not None:
        await log.aclose()
