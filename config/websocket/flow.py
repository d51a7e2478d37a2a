"""Flow control of one connection: the bytes that wait for its client.

Twisted's transport accepts any number of bytes and buffers them until the network has room. Here it
gets a little at a time. It pauses its producer when it holds more than 64 kB and resumes it when it
is empty; meanwhile messages wait here, where they can be counted and dropped. The acknowledgements
that a client sends play no part in it.

The application waits for `room` before it builds the next message, and names the owners of the
socket (`share`), so that all sockets of a user or of an address are bounded together
(config/websocket/totals.py). It finds the `Flow` in its scope.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer  # type: ignore[import-untyped]

from config.websocket.totals import Totals

FLOW = "holdfast.flow"  # In the scope of a WebSocket or of a request.

# While more than this waits, `room` waits as well.
FULL_BYTES = 262_144
PIECE_BYTES = 65_536
# The most that a transport holds after it has paused us: its own 64 kB and the last piece.
PAUSED_BYTES = 2 * PIECE_BYTES


@implementer(IPushProducer)
class Flow:
    """`end_slow` ends the connection. It is called when an owner's sockets hold too much and this
    one has the largest `burden`. `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        transport: Any,
        totals: Totals,
        end_slow: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._transport = transport
        self._totals = totals
        self.end_slow = end_slow
        self._messages: deque[bytes] = deque()
        self._given_bytes = 0  # of the first message
        self._queued_bytes = 0
        self._is_paused = False
        self._held_bytes = 0
        self.counted_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._is_over = False
        self._moved_at = 0.0  # when the client last read something, by the monotonic clock

    # Used by the application

    @property
    def is_full(self) -> bool:
        return self.waiting_bytes > FULL_BYTES

    async def room(self) -> None:
        """Returns once at most FULL_BYTES wait, or when the connection is lost."""
        await self._room.wait()

    def share(self, owner: str, most_bytes: int) -> None:
        """Count this socket among those of `owner`; 0 means no bound."""
        if not self._is_over:
            self._totals.join(self, owner, most_bytes)

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Count `count` bytes that the application keeps meanwhile as waiting, too."""
        self._held_bytes += count
        self._count()
        try:
            yield
        finally:
            self._held_bytes -= count
            self._count()

    # Used by the socket

    @property
    def waiting_bytes(self) -> int:
        """The bytes kept for the client, without up to 64 kB in a transport that has not paused
        us."""
        return self._queued_bytes + (PAUSED_BYTES if self._is_paused else 0)

    @property
    def still_s(self) -> float:
        """The seconds in which the client has read nothing although bytes wait for it."""
        return self._now() - self._moved_at if self._is_paused else 0.0

    @property
    def burden(self) -> tuple[float, int]:
        """Byte-seconds that the client has kept waiting, then bytes."""
        return self.still_s * self.counted_bytes, self.counted_bytes

    @property
    def is_empty(self) -> bool:
        return not self._messages and not self._is_paused

    def write(self, message: bytes, given_bytes: int = 0) -> None:
        """Queue a whole message. If the queue is empty, `given_bytes` of it are sent already."""
        if not self._messages:
            self._given_bytes = given_bytes
        self._messages.append(message)
        self._queued_bytes += len(message) - given_bytes
        self._give()

    def drop(self) -> None:
        """Forget the messages of which no byte was sent yet."""
        begun = self._messages.popleft() if self._given_bytes else None
        self._messages.clear()
        self._queued_bytes = 0
        if begun is not None:
            self._messages.append(begun)
            self._queued_bytes = len(begun) - self._given_bytes
        self._count()

    def close(self) -> None:
        """The socket is closing: send nothing more, and stop counting the rest."""
        self.drop()
        self._room.clear()
        self._leave()

    def hand_over(self) -> None:
        """Give the transport everything that waits, before it is unregistered."""
        self._is_paused = False
        self._give(at_once=True)

    def _give(self, *, at_once: bool = False) -> None:
        while self._messages and (at_once or not self._is_paused):
            message = self._messages[0]
            piece = message[self._given_bytes : self._given_bytes + PIECE_BYTES]
            self._given_bytes += len(piece)
            self._queued_bytes -= len(piece)
            if self._given_bytes >= len(message):
                self._messages.popleft()
                self._given_bytes = 0
            self._transport.write(piece)
        self._count()

    def _count(self) -> None:
        if self._is_over:
            return
        if self.is_full:
            self._room.clear()
        else:
            self._room.set()
        now_bytes = self.waiting_bytes + self._held_bytes
        more_bytes, self.counted_bytes = now_bytes - self.counted_bytes, now_bytes
        self._totals.add(self, more_bytes)

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._totals.leave(self)

    # Called by the transport

    def pauseProducing(self) -> None:
        self._is_paused = True
        self._moved_at = self._now()

    def resumeProducing(self) -> None:
        self._is_paused = False
        self._moved_at = self._now()
        self._give()

    def stopProducing(self) -> None:
        """The connection is lost: let callers of `room` continue, and ignore their messages."""
        self._messages.clear()
        self._given_bytes = self._queued_bytes = 0
        self._is_paused = False
        self._leave()
        self._room.set()
