"""The queue of one follower, and the state of a stream that is followed."""

import asyncio
from collections import deque
from collections.abc import Callable

from .entries import Batch, Page, Raw, batches
from .errors import StreamsError
from .keys import StreamKeys

Focus = Callable[[], str | None] | None


class Subscriber:
    """The queue of one follower. Its state changes only between awaits, so it needs no lock."""

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
        """Queue every page of the stream from now on."""
        self._queue.clear()
        self._bytes = 0
        self.lagging = False

    def offer(self, page: Page) -> None:
        if self.lagging:
            return
        if self._focus is not None:
            # Split into batches when it is taken, with the focus of that time.
            self._put(page, page.size_bytes)
        elif chosen := page.of_chat(self._chat, self._parts):
            self._put(chosen, sum(batch.size_bytes for batch in chosen))

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
        """Make next() raise `reason`: following cannot continue."""
        self._failure = reason
        self._wake()

    async def next(self) -> tuple[Batch, ...] | None:
        """The next batches; None if some were dropped. Raises the reason given to fail()."""
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
        """The batches of a page of the replay."""
        return batches(raws) if self._focus is None else self._focused(Page(raws))

    def _focused(self, page: Page) -> tuple[Batch, ...]:
        assert self._focus is not None
        chat = self._focus()
        return page.focused(None if chat is None else chat.encode())


class FollowedStream:
    """A stream that somebody follows."""

    __slots__ = ("count", "doubtful", "keys", "position", "ready", "subscribers")

    def __init__(self, keys: StreamKeys, count: int) -> None:
        self.keys = keys
        # How many entries the next read asks for.
        self.count = count
        self.subscribers: set[Subscriber] = set()
        # Everything up to here was offered. None until the first read after SUBSCRIBE.
        self.position: bytes | None = None
        self.ready = asyncio.Event()
        # The connection was lost: the log may have been restored to an earlier state.
        self.doubtful = False
