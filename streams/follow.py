"""Following: one subscription per process, one read per stream however many follow it.

A wake-up marks its stream dirty; one loop reads all dirty streams in one round trip and hands the
same pages to everybody. Wake-ups that come during a read collapse into one. A poll, one cheap
command per followed stream, heals a lost wake-up. A follower that does not keep up loses what is
queued for it, not its place: it reads the log again from where it was. One that cannot go on (its
log cannot be read, or has been put back to an earlier state) is told so: it raises.
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
from .pipe import LOST, Pipe, backoff_s, connect, disconnect, pack
from .reader import PAGE_BYTES, PAGE_ENTRIES, Reader
from .subscriber import Focus as Focus
from .subscriber import Followed, Subscriber

logger = logging.getLogger(__name__)

# A subscription connection that is silent longer than three pings is dead.
PING_INTERVAL_S = 5.0
SILENCE_TIMEOUT_S = 15.0
# What one read of the end of a stream asks for at first: a few long messages, or many tokens. While
# there is more, each read asks for twice as many, unless that would be more than a page's bytes.
LIVE_ENTRIES = 16


class Follower:
    """Belongs to one event loop."""

    def __init__(
        self, url: str, pipe: Pipe, reader: Reader, *, prefix: str, poll_ms: int, buffer_bytes: int
    ) -> None:
        self._url = url
        self._pipe = pipe
        self._reader = reader
        self._prefix = prefix
        self._poll_s = poll_ms / 1000
        self._buffer_bytes = buffer_bytes
        self._followed: dict[bytes, Followed] = {}  # by wake channel
        self._confirmed: set[bytes] = set()
        self._sent: set[bytes] = set()
        self._dirty: set[Followed] = set()
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
                # Why replay and live join without gap or double: from restart() on, every page
                # is queued, and pages begin where the stream's position was then. The last page
                # of the replay is read after that, so it holds all that is older; what it does
                # not hold is younger than everything in it, and is in the queue or comes later.
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
                    for batch in _younger(queued, reached):
                        position = batch.cursor
                        reached = order(position)
                        yield batch
        finally:
            self._leave(followed, subscriber)

    async def _replay(
        self, stream: str, chat: str | None, position: str, parts: bool
    ) -> tuple[list[Raw], str, bool]:
        while True:
            # A follower outlives any outage; the pipe has waited long before it gives up.
            with suppress(LogUnavailableError):
                return await self._reader.page(stream, chat, position, PAGE_ENTRIES, parts)

    def _join(self, stream: str, subscriber: Subscriber) -> Followed:
        if not self._tasks:
            start = asyncio.get_running_loop().create_task
            self._tasks = [
                start(_for_ever(self._listen), name="streams-listen"),
                start(_for_ever(self._control), name="streams-control"),
                start(_for_ever(self._read), name="streams-read"),
            ]
        keys = stream_keys(self._prefix, stream)
        channel = keys.wake.encode()
        followed = self._followed.get(channel)
        if followed is None:
            followed = self._followed[channel] = Followed(keys, LIVE_ENTRIES)
            if channel in self._confirmed:
                self._mark(followed)
            else:
                self._wanted.set()
        followed.subscribers.add(subscriber)
        return followed

    def _leave(self, followed: Followed, subscriber: Subscriber) -> None:
        followed.subscribers.discard(subscriber)
        channel = followed.keys.wake.encode()
        if not followed.subscribers and self._followed.get(channel) is followed:
            del self._followed[channel]
            self._dirty.discard(followed)
            self._wanted.set()

    def _mark(self, followed: Followed) -> None:
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
            except LOST as error:
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
            # The last of several wake-ups usually names an entry that was read for the first.
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
        """Brings what is subscribed in line with what is followed."""
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
            # Lost connections are the listener's to mend.
            with suppress(*LOST):
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
            todo, self._dirty = list(self._dirty), set()
            # Asked for before the first await, so all of it goes in one round trip.
            asked = [(one, one.doubtful, self._pipe.submit(_next(one))) for one in todo]
            for followed, is_doubtful, reply in asked:
                try:
                    if is_doubtful:
                        self._compare(followed, await reply)
                    else:
                        self._offer(followed, await reply)
                except LogUnavailableError:
                    self._mark(followed)
                except Exception as error:
                    # Nobody may believe to have seen all of it.
                    logger.exception("Reading %s failed", followed.keys.stream)
                    self._fail(followed, f"cannot be read: {error}")

    def _compare(self, followed: Followed, rows: list[list[bytes]]) -> None:
        """A log that was put back to an earlier state would go on below what followers have seen,
        and they would see nothing of it."""
        followed.doubtful = False
        last = rows[0][0] if rows else b"0-0"
        if followed.position is not None and order(last) < order(followed.position):
            self._fail(followed, f"ends at {last.decode()}, before what was read of it")
        else:
            self._mark(followed)

    def _fail(self, followed: Followed, reason: str) -> None:
        """Its followers end; whoever follows next begins anew."""
        channel = followed.keys.wake.encode()
        # Another one may have taken its place meanwhile, with followers of its own.
        if self._followed.get(channel) is followed:
            del self._followed[channel]
            self._wanted.set()
        followed.ready.set()
        for subscriber in followed.subscribers:
            subscriber.fail(StreamsError(f"{followed.keys.stream} {reason}"))

    def _offer(self, followed: Followed, rows: list[list[bytes | list[bytes]]]) -> None:
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
        """Followers that still wait are cancelled by their owners, not here."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """What all followers of this process depend on never just ends."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("Following failed; going on")
        await asyncio.sleep(backoff_s(5))


def _younger(queued: tuple[Batch, ...], position: tuple[int, int]) -> Iterator[Batch]:
    for batch in queued:
        if (rest := batch.after(position)) is not None:
            yield rest


def _next(followed: Followed) -> bytes:
    if followed.position is None or followed.doubtful:
        return pack("XREVRANGE", followed.keys.log, "+", "-", "COUNT", 1)
    # A plain bytes position: "(" makes it exclusive.
    after = b"(" + followed.position
    return pack("XRANGE", followed.keys.log, after, "+", "COUNT", followed.count)
