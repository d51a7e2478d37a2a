"""Open sessions with MCP servers, kept for the next call.

A session lives in a task of its own, because the library's task groups must be left where they
were entered. Calls of other tasks use it at the same time. One that nobody has used for IDLE_S is
closed, so that its secrets leave memory; one that broke is not used again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from chat.tools.calls import Tool
from chat.tools.mcp.http import Exchange, current_exchange
from chat.tools.mcp.server_config import ServerConfig

if TYPE_CHECKING:
    from chat.tools.mcp.session import Session

IDLE_S = 60.0
MAX_IDLE = 50
OPEN_S = 30.0
CLOSE_S = 5.0


class Connection:
    """One session. `tools` and `tools_at` (event loop time) keep its list of tools, `users` is the
    number of calls that have it."""

    def __init__(self, config: ServerConfig) -> None:
        self.users = 0
        self.timer: asyncio.TimerHandle | None = None
        self.tools: list[Tool] = []
        self.tools_at = float("-inf")
        self._config = config
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    @property
    def is_usable(self) -> bool:
        return not (self._task.done() or self._closing.is_set())

    async def session(self) -> "Session":
        """Waits until it is open. Raises ToolServerError."""
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        self._closing.set()
        done, _ = await asyncio.wait([self._task], timeout=CLOSE_S)
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_S)

    async def _run(self) -> None:
        # At its first use, in a thread: the event loop writes answers meanwhile.
        module = await asyncio.to_thread(_load)
        exchange = Exchange()
        current_exchange.set(exchange)
        try:
            async with asyncio.timeout(OPEN_S) as limit:
                async with module.open_session(self._config) as session:
                    limit.reschedule(None)
                    self._opened.set_result(session)
                    await self._closing.wait()
        except BaseException as error:  # It is given to those who wait.
            problem = module.problem_of(error, current_exchange.get() or exchange)
            if not self._opened.done():
                self._opened.set_exception(problem)
                self._opened.exception()  # Nobody may be waiting any more.
            if isinstance(error, asyncio.CancelledError):
                raise


def _load() -> ModuleType:
    from chat.tools.mcp import session

    return session


_Pool = OrderedDict[ServerConfig, Connection]
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()
_closings: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def connected(config: ServerConfig) -> AsyncIterator[tuple[Connection, "Session"]]:
    """An open session with the server. Raises ToolServerError."""
    pool = _pools.setdefault(asyncio.get_running_loop(), OrderedDict())
    connection = pool.get(config)
    if connection is None or not connection.is_usable:
        connection = pool[config] = Connection(config)
    if connection.timer:
        connection.timer.cancel()
    connection.users += 1
    try:
        yield connection, await connection.session()
    finally:
        connection.users -= 1
        if not connection.users:
            _rest(config, connection)


def _rest(config: ServerConfig, connection: Connection) -> None:
    """Keeps an unused connection for a while, if it is still the one of its server."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop, OrderedDict())
    if pool.get(config) is not connection or not connection.is_usable:
        drop(config, connection)
        return
    pool.move_to_end(config)
    connection.timer = loop.call_later(IDLE_S, drop, config, connection)
    idle = [other for other, kept in pool.items() if not kept.users]
    for other in idle[: max(len(idle) - MAX_IDLE, 0)]:
        drop(other, pool[other])


def drop(config: ServerConfig, connection: Connection) -> None:
    """Uses the connection for no other call. It is closed when those that have it have ended."""
    pool = _pools.get(asyncio.get_running_loop(), OrderedDict())
    if pool.get(config) is connection:
        del pool[config]
    if connection.timer:
        connection.timer.cancel()
    if not connection.users:
        task = asyncio.create_task(connection.close())
        _closings.add(task)
        task.add_done_callback(_closings.discard)


async def close_all() -> None:
    """Closes the sessions of this event loop, and their programs."""
    pool = _pools.pop(asyncio.get_running_loop(), OrderedDict())
    for connection in pool.values():
        if connection.timer:
            connection.timer.cancel()
    await asyncio.gather(*(connection.close() for connection in pool.values()))


def count() -> int:
    return len(_pools.get(asyncio.get_running_loop(), ()))
