"""Following: one subscription per process, and one read per stream for all its followers.

A wake-up marks its stream dirty. One loop reads all dirty streams in one round trip and gives the
same pages to all followers. Wake-ups during a read collapse into one. A poll, one cheap command per
followed stream, makes up for a lost wake-up. A follower that does not keep up loses its queue but
not its position: it reads the log again from there. A follower that cannot continue, because its
log is unreadable or was restored to an earlier state, raises.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import suppress

from redis.asyncio.connection import AbstractConnection

from .cursors import order, valid_cursor
from .entries import Batch, Page, Raw, from_log
from .errors import LogUnavailableError, StreamsError
from .keys import stream_keys, valid_name
from .pipe import CONNECTION_ERRORS, PipelinedConnection, backoff_s, connect, disconnect, pack
from .reader import PAGE_BYTES, PAGE_ENTRIES, Reader
from .subscriber import Focus as Focus
from .subscriber import FollowedStream, Subscriber

logger = logging.getLogger(__name__)

# A subscription that receives nothing for three ping intervals is dead.
PING_INTERVAL_S = 5.0
SILENCE_TIMEOUT_S = 15.0
# How many entries the first read of the end of a stream asks for: a few long messages, or many
# tokens. While there are more, each read doubles the number, up to about the bytes of a page.
LIVE_ENTRIES = 16


class Follower:
    """Belongs to one event loop."""

    def __init__(
        self,
        url: str,
        pipe: PipelinedConnection,
        reader: Reader,
        *,
        prefix: str,
        poll_ms: int,
        buffer_bytes: int,
    ) -> None:
        self._url = url
        self._pipe = pipe
        self._reader = reader
        self._prefix = prefix
        self._poll_s = poll_ms / 1000
        self._buffer_bytes = buffer_bytes
        self._followed: dict[bytes, FollowedStream] = {}  # by wake channel
        self._confirmed: set[bytes] = set()
        self._sent: set[bytes] = set()
        self._dirty: set[FollowedStream] = set()
        self._dirtied = asyncio.Event()
        self._wanted = asyncio.Event()
        self._link: AbstractConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def batches(
        self,
        stream: str,
        chat: str | None,
        after: str | None,
        *,
        parts: bool,
        focus: Focus,
    ) -> AsyncGenerator[Batch, None]:
        position = valid_cursor(after)
        if chat is not None:
            valid_name(chat)
        subscriber = Subscriber(chat, parts, focus, self._buffer_bytes)
        followed = self._join(stream, subscriber)
        announced = False
        try:
            await followed.ready.wait()
            while True:
                # Why replay and live join without gaps or duplicates: from restart() on, every page
                # is queued, and pages start at the stream's position at that time. The last page
                # of the replay is read later, so it contains everything older. Whatever it does
                # not contain is newer than all its entries, and is in the queue or comes later.
                subscriber.restart()
                more = True
                while more:
                    raws, position, more = await self._replay(stream, chat, position, parts)
                    for batch in subscriber.cut(raws):
                        yield batch
                if not announced and not subscriber.lagging:
                    announced = True
                    yield Batch("", [], position, live=True)
                reached = order(position)
                while (queued := await subscriber.next()) is not None:
                    for batch in _entries_after(queued, reached):
                        position = batch.cursor
                        reached = order(position)
                        yield batch
        finally:
            self._leave(followed, subscriber)

    async def _replay(
        self, stream: str, chat: str | None, position: str, parts: bool
    ) -> tuple[list[Raw], str, bool]:
        while True:
            # A follower outlives any outage. The connection has waited long before it gives up.
            with suppress(LogUnavailableError):
                return await self._reader.page(stream, chat, position, PAGE_ENTRIES, parts)

    def _join(self, stream: str, subscriber: Subscriber) -> FollowedStream:
        if not self._tasks:
            start = asyncio.get_running_loop().create_task
            self._tasks = [
                start(_run_forever(self._listen), name="streams-listen"),
                start(_run_forever(self._control), name="streams-control"),
                start(_run_forever(self._read), name="streams-read"),
            ]
        keys = stream_keys(self._prefix, stream)
        channel = keys.wake.encode()
        followed = self._followed.get(channel)
        if followed is None:
            followed = self._followed[channel] = FollowedStream(keys, LIVE_ENTRIES)
            if channel in self._confirmed:
                self._mark(followed)
            else:
                self._wanted.set()
        followed.subscribers.add(subscriber)
        return followed

    def _leave(self, followed: FollowedStream, subscriber: Subscriber) -> None:
        followed.subscribers.discard(subscriber)
        channel = followed.keys.wake.encode()
        if not followed.subscribers and self._followed.get(channel) is followed:
            del self._followed[channel]
            self._dirty.discard(followed)
            self._wanted.set()

    def _mark(self, followed: FollowedStream) -> None:
        self._dirty.add(followed)
        self._dirtied.set()

    # The subscription

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                self._link = link = await connect(self._url)
                self._wanted.set()
                while True:
                    async with asyncio.timeout(SILENCE_TIMEOUT_S):
                        message = await link.read_response()
                    failures = 0
                    self._hear(message)
            except CONNECTION_ERRORS as error:
                logger.log(
                    logging.WARNING if failures == 0 else logging.DEBUG,
                    "The subscription to Redis was lost: %s",
                    error or type(error).__name__,
                )
            finally:
                await self._drop_link()
            failures += 1
            await asyncio.sleep(backoff_s(failures))

    def _hear(self, message: list[bytes]) -> None:
        kind, channel = message[0], message[1]
        if kind == b"message":
            followed = self._followed.get(channel)
            # The last of several wake-ups usually names an entry that has already been read.
            if followed is not None and followed.position != message[2]:
                self._mark(followed)
        elif kind == b"subscribe":
            if channel in self._sent:
                self._confirmed.add(channel)
            if (followed := self._followed.get(channel)) is not None:
                followed.doubtful = followed.position is not None
                self._mark(followed)

    async def _drop_link(self) -> None:
        link, self._link = self._link, None
        self._sent.clear()
        self._confirmed.clear()
        if link is not None:
            await disconnect(link)

    async def _control(self) -> None:
        """Subscribe to the streams that are followed, and unsubscribe from the others."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_INTERVAL_S):
                    await self._wanted.wait()
            self._wanted.clear()
            link = self._link
            if link is None or not link.is_connected:
                continue
            wanted = set(self._followed)
            joined, left = wanted - self._sent, self._sent - wanted
            self._sent = wanted
            self._confirmed -= left
            packed = [pack("SUBSCRIBE", *joined)] if joined else []
            if left:
                packed.append(pack("UNSUBSCRIBE", *left))
            # The listener reconnects.
            with suppress(*CONNECTION_ERRORS):
                await link.send_packed_command(packed or pack("PING"), check_health=False)

    # The reading

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        next_poll = loop.time() + self._poll_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_poll):
                    await self._dirtied.wait()
            self._dirtied.clear()
            if loop.time() >= next_poll:
                next_poll = loop.time() + self._poll_s
                self._dirty.update(f for f in self._followed.values() if f.ready.is_set())
            dirty, self._dirty = list(self._dirty), set()
            # Submitted before the first await, so that all reads share one round trip.
            reads = [(f, f.doubtful, self._pipe.submit(_next(f))) for f in dirty]
            for followed, is_doubtful, reply in reads:
                try:
                    if is_doubtful:
                        self._compare(followed, await reply)
                    else:
                        self._offer(followed, await reply)
                except LogUnavailableError:
                    self._mark(followed)
                except Exception as error:
                    # No follower may assume that it has seen the whole log.
                    logger.exception("Reading %s failed", followed.keys.stream)
                    self._fail(followed, f"cannot be read: {error}")

    def _compare(self, followed: FollowedStream, rows: list[list[bytes]]) -> None:
        """Detect a log that was restored to an earlier state. Its new entries would have ids below
        those that followers have seen, so followers would miss them."""
        followed.doubtful = False
        last = rows[0][0] if rows else b"0-0"
        if followed.position is not None and order(last) < order(followed.position):
            self._fail(followed, f"ends at {last.decode()}, before entries that were already read")
        else:
            self._mark(followed)

    def _fail(self, followed: FollowedStream, reason: str) -> None:
        """Make its followers raise. The next follower starts anew."""
        channel = followed.keys.wake.encode()
        # The stream may have been joined again meanwhile, with other followers.
        if self._followed.get(channel) is followed:
            del self._followed[channel]
            self._wanted.set()
        followed.ready.set()
        for subscriber in followed.subscribers:
            subscriber.fail(StreamsError(f"{followed.keys.stream} {reason}"))

    def _offer(self, followed: FollowedStream, rows: list[list[bytes | list[bytes]]]) -> None:
        if followed.position is None:
            followed.position = rows[0][0] if rows else b"0-0"  # type: ignore[assignment]
            followed.ready.set()
            return
        if not rows:
            return
        raws = from_log(rows)
        followed.position = raws[-1][0]
        page = Page(raws)
        for subscriber in followed.subscribers:
            subscriber.offer(page)
        if len(raws) < followed.count:
            followed.count = LIVE_ENTRIES
        else:
            fitting = PAGE_BYTES * len(raws) // page.size_bytes
            followed.count = max(1, min(2 * followed.count, fitting, PAGE_ENTRIES))
            self._mark(followed)

    async def aclose(self) -> None:
        """Stop the tasks. Their owners cancel followers that still wait."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


async def _run_forever(work: Callable[[], Awaitable[None]]) -> None:
    """Restart `work` whenever it fails: all followers of this process depend on it."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("A follower task failed and is restarted")
        await asyncio.sleep(backoff_s(5))


def _entries_after(queued: tuple[Batch, ...], position: tuple[int, int]) -> Iterator[Batch]:
    for batch in queued:
        if (rest := batch.after(position)) is not None:
            yield rest


def _next(followed: FollowedStream) -> bytes:
    if followed.position is None or followed.doubtful:
        return pack("XREVRANGE", followed.keys.log, "+", "-", "COUNT", 1)
    # "(" makes the range exclusive.
    after = b"(" + followed.position
    return pack("XRANGE", followed.keys.log, after, "+", "COUNT", followed.count)
