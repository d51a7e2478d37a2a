"""One follower's queue, and what a process knows of a stream that somebody follows."""

import asyncio
from collections import deque
from collections.abc import Callable

from .entries import Batch, Page, Raw, batches
from .errors import StreamsError
from .keys import StreamKeys

Focus = Callable[[], str | None] | None


class Subscriber:
    """One follower's queue. Its state changes only between awaits, so no lock is needed."""

    __slots__ = (
        *("_bytes", "_chat", "_failure", "_focus", "_limit", "_parts", "_queue", "_waiter"),
        "lagging",
    )

    def __init__(self, chat: str | None, parts: bool, focus: Focus, limit_bytes: int) -> None:
        self._chat = None if chat is None else chat.encode()
        self._parts = parts
        self._focus = focus
        self._limit = limit_bytes
        self._queue: deque[tuple[Page | tuple[Batch, ...], int]] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: StreamsError | None = None
        self.lagging = True

    def restart(self) -> None:
        """From now on everything that is read of the stream is queued."""
        self._queue.clear()
        self._bytes = 0
        self.lagging = False

    def offer(self, page: Page) -> None:
        if self.lagging:
            return
        if self._focus is not None:
            # Cut when it is taken: what is in focus then counts.
            self._put(page, page.size_bytes)
        elif found := page.of_chat(self._chat, self._parts):
            self._put(found, sum(batch.size_bytes for batch in found))

    def _put(self, item: Page | tuple[Batch, ...], size_bytes: int) -> None:
        self._queue.append((item, size_bytes))
        self._bytes += size_bytes
        if self._bytes > self._limit:
            self._queue.clear()
            self._bytes = 0
            self.lagging = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None

    def fail(self, reason: StreamsError) -> None:
        """Following cannot go on: whoever waits for more is told why."""
        self._failure = reason
        self._wake()

    async def next(self) -> tuple[Batch, ...] | None:
        """The next batches; None when some were dropped. Raises what fail() was told."""
        while not self._queue or self._failure is not None:
            if self._failure is not None:
                raise self._failure
            if self.lagging:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        item, size_bytes = self._queue.popleft()
        self._bytes -= size_bytes
        return self._focused(item) if isinstance(item, Page) else item

    def cut(self, raws: list[Raw]) -> tuple[Batch, ...]:
        """A page of the replay."""
        return batches(raws) if self._focus is None else self._focused(Page(raws))

    def _focused(self, page: Page) -> tuple[Batch, ...]:
        assert self._focus is not None
        chat = self._focus()
        return page.focused(None if chat is None else chat.encode())


class Followed:
    """A stream that somebody follows."""

    __slots__ = ("count", "doubtful", "keys", "position", "ready", "subscribers")

    def __init__(self, keys: StreamKeys, count: int) -> None:
        self.keys = keys
        # Entries that the next read asks for.
        self.count = count
        self.subscribers: set[Subscriber] = set()
        # Everything up to here has been offered. Unknown until the first read after SUBSCRIBE.
        self.position: bytes | None = None
        self.ready = asyncio.Event()
        # Redis was away: what comes back may know less than it did.
        self.doubtful = False
