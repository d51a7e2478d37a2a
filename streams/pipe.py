"""One connection to Redis that many callers share without waiting for each other.

Whatever is asked for while a round trip is under way goes out together in the next one: no timers,
no pool. What a lost connection leaves unanswered is sent again, byte for byte, until its time is
up; so everything sent through a pipe must be harmless when Redis sees it twice.
"""

import asyncio
import hashlib
import logging
import random
import re
import socket
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from .errors import LogUnavailableError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 2.0
# Longer than any healthy fsync. A reply that takes longer is asked for again on a new connection.
RESPONSE_TIMEOUT_S = 5.0
# Short enough that a restarted Redis is found before a lease of 1.5 s lapses.
MAX_BACKOFF_S = 0.4
FIRST_BACKOFF_S = 0.01
# A round trip is kept short, so that the first of its callers does not wait for the last.
MAX_ROUND_REQUESTS = 1_000
MAX_ROUND_BYTES = 2_000_000
# Replies that say "not now": full, read-only after a failover, another script running. redis-py
# has classes for some of them; inside a script some come as text.
_NOT_NOW_CLASSES = (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_NOT_NOW = re.compile(r"\b(BUSY|MISCONF|NOREPLICAS|OOM|READONLY)\b")

# How it shows that Redis is away.
AWAY = (RedisError, OSError, TimeoutError)
# How the loss of a connection shows. RuntimeError: uvloop's, of a handle that is closed already.
LOST = (*AWAY, RuntimeError)

Reply = Any


class Script:
    """A Lua file beside this module, called by its digest. `prelude`: another one put before it."""

    def __init__(self, name: str, *, prelude: str = "") -> None:
        folder = Path(__file__).parent / "lua"
        names = [prelude, name] if prelude else [name]
        self.source = b"".join((folder / f"{part}.lua").read_bytes() for part in names)
        # Redis names scripts by SHA-1; nothing here depends on its strength.
        self.digest = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *args: str | bytes | int) -> bytes:
        return pack("EVALSHA", self.digest, len(keys), *keys, *args)


def pack(*command: str | bytes | int) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


def connection(url: str) -> AbstractConnection:
    """A connection of its own, not yet connected, that neither retries nor times out by itself."""
    options: dict[str, Any] = dict(parse_url(url))
    kind: type[AbstractConnection] = options.pop("connection_class", Connection)
    options |= {
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
        "client_name": "holdfast",
    }
    if issubclass(kind, Connection):
        options["socket_keepalive"] = True
        if hasattr(socket, "TCP_KEEPIDLE"):
            options["socket_keepalive_options"] = {
                socket.TCP_KEEPIDLE: 10,
                socket.TCP_KEEPINTVL: 5,
                socket.TCP_KEEPCNT: 3,
            }
    return kind(**options)


def backoff_s(failures: int) -> float:
    """Grows with each failure; jittered, so that processes do not come back in step."""
    # OK to be predictable: this is no secret.
    longest_s: float = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures, 8))
    return longest_s * random.uniform(0.5, 1)  # noqa: S311


class _Request:
    __slots__ = ("deadline", "future", "packed", "replies")

    def __init__(
        self, packed: bytes, replies: int, deadline: float, future: "asyncio.Future[Reply]"
    ) -> None:
        self.packed = packed
        self.replies = replies
        self.deadline = deadline
        self.future = future


class Pipe:
    """Belongs to the event loop that first uses it."""

    def __init__(self, url: str, *, timeout_ms: int, scripts: Sequence[Script] = ()) -> None:
        self._url = url
        self._timeout_s = timeout_ms / 1000
        self._scripts = scripts
        self._pending: deque[_Request] = deque()
        self._asked = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._closed = False

    def submit(self, packed: bytes, replies: int = 1) -> "asyncio.Future[Reply]":
        """Send a packed command; the future holds its reply (the last one, if it has several).

        Raises ResponseError for what Redis refuses, LogUnavailableError when the time is up.
        """
        if self._closed:
            raise LogUnavailableError("the log is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        self._pending.append(_Request(packed, replies, loop.time() + self._timeout_s, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name="streams-pipe")
        self._asked.set()
        return future

    async def execute(self, *command: str | bytes | int) -> Reply:
        return await self.submit(pack(*command))

    async def aclose(self) -> None:
        """Drops what is pending; its callers get LogUnavailableError."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._disconnect()
        self._fail(self._take(len(self._pending)), "the log was closed")

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._pending:
                await self._round(self._take(MAX_ROUND_REQUESTS))

    def _take(self, limit: int) -> list[_Request]:
        batch: list[_Request] = []
        size_bytes = 0
        while self._pending and len(batch) < limit and size_bytes < MAX_ROUND_BYTES:
            request = self._pending.popleft()
            if not request.future.done():  # cancelled before it was sent
                batch.append(request)
                size_bytes += len(request.packed)
        return batch

    async def _round(self, batch: list[_Request]) -> None:
        """One round trip. What was not answered goes back to the front, in its order."""
        again: list[_Request] = []
        try:
            async with asyncio.timeout(min(RESPONSE_TIMEOUT_S, self._timeout_s)):
                again = await self._exchange(batch)
        except asyncio.CancelledError:
            self._pending.extendleft(reversed(batch))
            raise
        except LOST as error:
            await self._disconnect()
            logger.log(
                logging.WARNING if self._failures == 0 else logging.DEBUG,
                "Redis is away: %s",
                error or type(error).__name__,
            )
            again = [request for request in batch if not request.future.done()]
        except Exception as error:
            # Cannot happen; but callers must not wait for ever for what nobody foresaw.
            logger.exception("The pipe to Redis failed")
            await self._disconnect()
            for request in batch:
                if not request.future.done():
                    request.future.set_exception(error)
        if not again:
            self._failures = 0
            return
        self._pending.extendleft(reversed(again))
        self._expire()
        self._failures += 1
        await asyncio.sleep(backoff_s(self._failures))

    async def _exchange(self, batch: list[_Request]) -> list[_Request]:
        """Returns the requests that Redis refused for now."""
        link = self._connection
        if link is None:
            link = await self._connect()
        await link.send_packed_command([r.packed for r in batch], check_health=False)
        read = link.read_response
        again: list[_Request] = []
        for request in batch:
            refusal: ResponseError | None = None
            reply: Reply = None
            for _ in range(request.replies):
                try:
                    reply = await read()
                except ResponseError as error:
                    refusal = refusal or error  # The first says why.
            if request.future.done():
                continue
            if refusal is None:
                request.future.set_result(reply)
            elif self._is_passing(refusal):
                again.append(request)
            else:
                request.future.set_exception(refusal)
        if again:
            await self._load_scripts(link)
        return again

    def _is_passing(self, refusal: ResponseError) -> bool:
        return isinstance(refusal, _NOT_NOW_CLASSES) or bool(_NOT_NOW.search(str(refusal)))

    async def _connect(self) -> AbstractConnection:
        self._connection = link = await connect(self._url)
        await self._load_scripts(link)
        return link

    async def _load_scripts(self, link: AbstractConnection) -> None:
        for script in self._scripts:
            await link.send_packed_command(
                pack("SCRIPT", "LOAD", script.source), check_health=False
            )
        for _ in self._scripts:
            await link.read_response()

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        late = [request for request in self._pending if request.deadline <= now]
        if late:
            self._pending = deque(r for r in self._pending if r.deadline > now)
            self._fail(late, f"Redis did not answer within {self._timeout_s:.0f} s")

    def _fail(self, requests: list[_Request], reason: str) -> None:
        for request in requests:
            if not request.future.done():
                request.future.set_exception(LogUnavailableError(reason))

    async def _disconnect(self) -> None:
        link, self._connection = self._connection, None
        if link is not None:
            await disconnect(link)


async def connect(url: str) -> AbstractConnection:
    link = connection(url)
    try:
        await link.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await disconnect(link)
        raise
    return link


async def disconnect(link: AbstractConnection) -> None:
    try:
        await link.disconnect(nowait=True)
    except LOST:
        logger.debug("closing a connection to Redis failed", exc_info=True)
