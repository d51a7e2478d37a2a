"""Connections that nobody uses now, kept for the next request to the same origin."""

import asyncio
from collections import defaultdict
from functools import partial
from typing import NamedTuple

from chat.llm.http.connection import Connection

# Below the 5 s after which many servers (uvicorn, Node, llama.cpp) close theirs: a request that
# meets a closing connection fails.
IDLE_S = 4.0
# Some servers close a connection after each answer without saying so: llama.cpp does, 0.2 ms after
# a streamed one. One that is still open after this time stays open.
REST_S = 0.1

Origin = tuple[bool, str, int]


class Idle(NamedTuple):
    since: float  # in the time of the loop
    timer: asyncio.TimerHandle


class IdleConnections:
    """By origin; the one used last is taken first. Each leaves by itself when it closes."""

    def __init__(self) -> None:
        self._idle: defaultdict[Origin, dict[Connection, Idle]] = defaultdict(dict)
        self._closed = False

    def __len__(self) -> int:
        return sum(len(connections) for connections in self._idle.values())

    def put(self, origin: Origin, connection: Connection) -> None:
        if self._closed:
            connection.close()
            return
        connection.on_idle_end = partial(self._forget, origin)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(IDLE_S, connection.close)
        self._idle[origin][connection] = Idle(loop.time(), timer)

    def take(self, origin: Origin) -> Connection | None:
        """One that is as good as new, and from now on its taker's."""
        now = asyncio.get_running_loop().time()
        for connection, idle in reversed(list(self._idle.get(origin, {}).items())):
            idle_s = now - idle.since
            # In a loop that was held up the timer is late.
            if idle_s >= IDLE_S or not connection.usable:
                connection.close()
                self._forget(origin, connection)
            elif idle_s >= REST_S:
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
