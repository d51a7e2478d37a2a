"""A pipelined connection to Redis, which many callers share without waiting for each other.

Requests that arrive during a round trip are sent together in the next one, without timers or a
pool. Requests that a lost connection leaves unanswered are sent again, byte for byte, until their
timeout. Every request must therefore be harmless when Redis executes it twice.
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
# Longer than any healthy fsync. A request without a reply by then is repeated on a new connection.
RESPONSE_TIMEOUT_S = 5.0
# Short enough to notice a restarted Redis before a lease of 1.5 s lapses.
MAX_BACKOFF_S = 0.4
FIRST_BACKOFF_S = 0.01
# A round trip stays short, so that its first caller does not wait for its last.
MAX_ROUND_REQUESTS = 1_000
MAX_ROUND_BYTES = 2_000_000
# Temporary refusals: Redis is full, read-only after a failover, or running another script. redis-py
# has classes for some of them; from within a script, some arrive as text.
_TEMPORARY_CLASSES = (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_TEMPORARY = re.compile(r"\b(BUSY|MISCONF|NOREPLICAS|OOM|READONLY)\b")

# Raised when Redis is unavailable.
REDIS_ERRORS = (RedisError, OSError, TimeoutError)
# Raised when a connection is lost. uvloop raises RuntimeError for a handle that is already closed.
CONNECTION_ERRORS = (*REDIS_ERRORS, RuntimeError)

Reply = Any


class Script:
    """A file of streams/lua/, called by its digest. `prelude` names a file to prepend."""

    def __init__(self, name: str, *, prelude: str = "") -> None:
        folder = Path(__file__).parent / "lua"
        names = [prelude, name] if prelude else [name]
        self.source = b"".join((folder / f"{part}.lua").read_bytes() for part in names)
        # Redis identifies scripts by SHA-1; security does not depend on it.
        self.digest = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *args: str | bytes | int) -> bytes:
        return pack("EVALSHA", self.digest, len(keys), *keys, *args)


def pack(*command: str | bytes | int) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


def connection(url: str) -> AbstractConnection:
    """A new, unconnected connection that neither retries nor times out by itself."""
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
    """A delay that grows with each failure, with jitter so that processes do not retry in step."""
    longest_s: float = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures, 8))
    return longest_s * random.uniform(0.5, 1)  # noqa: S311  not a secret


class _Request:
    __slots__ = ("deadline", "future", "packed", "replies")

    def __init__(
        self, packed: bytes, replies: int, deadline: float, future: "asyncio.Future[Reply]"
    ) -> None:
        self.packed = packed
        self.replies = replies
        self.deadline = deadline
        self.future = future


class PipelinedConnection:
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
        """Send a packed command with `replies` replies; the future holds the last one.

        The future raises ResponseError if Redis refuses, and LogUnavailableError on timeout.
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
        """Close the connection. Pending requests raise LogUnavailableError."""
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
        """Make one round trip. Unanswered requests go back to the front of the queue, in order."""
        again: list[_Request] = []
        try:
            async with asyncio.timeout(min(RESPONSE_TIMEOUT_S, self._timeout_s)):
                again = await self._exchange(batch)
        except asyncio.CancelledError:
            self._pending.extendleft(reversed(batch))
            raise
        except CONNECTION_ERRORS as error:
            await self._disconnect()
            logger.log(
                logging.WARNING if self._failures == 0 else logging.DEBUG,
                "Redis is unavailable: %s",
                error or type(error).__name__,
            )
            again = [request for request in batch if not request.future.done()]
        except Exception as error:
            # Should not happen, but callers must not wait forever after an unforeseen error.
            logger.exception("The pipelined connection to Redis failed")
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
        """Send a batch and read its replies. Returns the requests to send again."""
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
                    refusal = refusal or error  # The first error has the reason.
            if request.future.done():
                continue
            if refusal is None:
                request.future.set_result(reply)
            elif _is_temporary(refusal):
                again.append(request)
            else:
                request.future.set_exception(refusal)
        if again:
            await self._load_scripts(link)
        return again

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


def _is_temporary(refusal: ResponseError) -> bool:
    return isinstance(refusal, _TEMPORARY_CLASSES) or bool(_TEMPORARY.search(str(refusal)))


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
    except CONNECTION_ERRORS:
        logger.debug("closing a connection to Redis failed", exc_info=True)
