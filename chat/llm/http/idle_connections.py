"""Idle connections, kept for the next request to the same origin."""

import asyncio
from collections import defaultdict
from functools import partial
from typing import NamedTuple

from chat.llm.http.connection import Connection

# Many servers (uvicorn, Node, llama.cpp) close idle connections after 5 s, and a request on a
# closing connection fails.
MAX_IDLE_S = 4.0
# Some servers close a connection after a response without announcing it: llama.cpp does, 0.2 ms
# after a streamed one. A connection that is still open after this time stays open.
MIN_IDLE_S = 0.1

Origin = tuple[bool, str, int]


class Idle(NamedTuple):
    since: float  # event loop time
    timer: asyncio.TimerHandle


class IdleConnections:
    """Idle connections by origin. The most recently used one is taken first, and a connection that
    closes is removed."""

    def __init__(self) -> None:
        self._idle: defaultdict[Origin, dict[Connection, Idle]] = defaultdict(dict)
        self._closed = False

    def __len__(self) -> int:
        return sum(len(connections) for connections in self._idle.values())

    def put(self, origin: Origin, connection: Connection) -> None:
        if self._closed:
            connection.close()
            return
        connection.on_idle_closed = partial(self._forget, origin)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(MAX_IDLE_S, connection.close)
        self._idle[origin][connection] = Idle(loop.time(), timer)

    def take(self, origin: Origin) -> Connection | None:
        """Removes and returns a usable connection; None if there is none."""
        now = asyncio.get_running_loop().time()
        for connection, idle in reversed(list(self._idle.get(origin, {}).items())):
            idle_s = now - idle.since
            # The timer is late if the event loop was blocked.
            if idle_s >= MAX_IDLE_S or not connection.usable:
                connection.close()
                self._forget(origin, connection)
            elif idle_s >= MIN_IDLE_S:
                self._forget(origin, connection)
                return connection
        return None

    def close(self) -> None:
        self._closed = True
        for connections in list(self._idle.values()):
            for connection in list(connections):
                connection.close()

    def _forget(self, origin: Origin, connection: Connection) -> None:
        connections = self._idle.get(origin, {})
        if idle := connections.pop(connection, None):
            idle.timer.cancel()
        if not connections:
            self._idle.pop(origin, None)
