"""The model client's network: a small HTTP/1.1 transport made for many slow streams.

The stock transport costs 95 us of CPU per chunk at 50 chunks a second and stream; this one about
20, because whatever one network read brought comes out as one piece, with no layer per chunk.
It does only what calling a model needs: requests with a known body, keep-alive, chunked, sized or
closed answers. Redirects are not followed. It is bound to the event loop that first uses it.

With `resolve` it connects only to the addresses that this gives for a host
(accounts/public_addresses.py).
"""

import asyncio
import contextlib
import re
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import httpx2

HIGH_WATER_BYTES = 512 * 1024  # unread bytes at which the socket is left alone
MAX_HEAD_BYTES = 64 * 1024
MAX_LENGTH_DIGITS = 18
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
IDLE_S = 30.0  # an idle connection older than this is not used again
Origin = tuple[bool, str, int]


# Threads of their own: name servers that never answer must not hold up what else has threads.
_resolvers = ThreadPoolExecutor(16, "resolve")


class GoneError(httpx2.RemoteProtocolError):
    """The connection closed before a byte of the answer came."""


class StreamTransport(httpx2.AsyncBaseTransport):
    """Connections by origin; as many at once as there are requests, idle ones are used again."""

    def __init__(
        self,
        connect_timeout_s: float,
        resolve: Callable[[str, int], list[str]] | None = None,
        only_headers: frozenset[bytes] | None = None,
    ) -> None:
        """`resolve` blocks. `only_headers`: all that is passed on of an answer's headers."""
        self._connect_timeout_s = connect_timeout_s
        self._resolve = resolve
        self._only_headers = only_headers
        self._idle: dict[Origin, list[Connection]] = defaultdict(list)
        self._tls: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.raw_host.decode("ascii")
        origin = (request.url.scheme == "https", host, request.url.port or 0)
        if connection := self._reusable(origin):
            with contextlib.suppress(GoneError):  # the server had closed it while it was idle
                return await self._ask(connection, request, origin)
        return await self._ask(await self._connect(origin), request, origin)

    async def _ask(
        self, connection: "Connection", request: httpx2.Request, origin: Origin
    ) -> httpx2.Response:
        try:
            connection.send(request)
            status, headers = await connection.head()
        except BaseException:
            connection.close()
            raise
        body = Body(connection, self._idle[origin])
        if self._only_headers is not None:
            headers = [pair for pair in headers if pair[0].lower() in self._only_headers]
        return httpx2.Response(status, headers=headers, stream=body)

    def _reusable(self, origin: Origin) -> "Connection | None":
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.usable and time.monotonic() - connection.idle_since < IDLE_S:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin) -> "Connection":
        secure, host, port = origin
        port = port or (443 if secure else 80)
        if secure and self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if self._resolve is None:
                    return await self._open(host, port, host if secure else None)
                resolving = asyncio.get_running_loop().run_in_executor(
                    _resolvers, self._resolve, host, port
                )
                addresses = await resolving
                return await self._open_first(addresses, port, host if secure else None)
        except TimeoutError as e:
            raise httpx2.ConnectTimeout("no connection in time") from e
        except (OSError, ssl.SSLError) as e:
            raise httpx2.ConnectError("no connection") from e

    async def _open_first(
        self, addresses: list[str], port: int, tls_name: str | None
    ) -> "Connection":
        failure: OSError = ConnectionError()
        for address in addresses:
            try:
                return await self._open(address, port, tls_name)
            except OSError as error:
                failure = error
        raise failure

    async def _open(self, address: str, port: int, tls_name: str | None) -> "Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection,
            address,
            port,
            ssl=self._tls if tls_name else None,
            server_hostname=tls_name,
        )
        return connection

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()


class Body(httpx2.AsyncByteStream):
    """The answer's bytes. Closed before its end, it cuts the connection: that stops the model."""

    def __init__(self, connection: "Connection", idle: list["Connection"]) -> None:
        self._connection, self._idle = connection, idle

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._connection.read():
            yield piece

    async def aclose(self) -> None:
        connection = self._connection
        if connection.reusable:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()


class Connection(asyncio.Protocol):
    """One socket. `read` gives everything that has come since the last read, b"" at the end."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._raw = bytearray()  # not yet understood
        self._body: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._paused = self._lost = False
        self._reset()

    def _reset(self) -> None:
        self._in_head = True
        self._done = False
        self._chunked = self._keep = False
        self._left: int | None = 0  # bytes of the body or chunk still to come; None: until closed
        self._after_chunk = self._trailer = False

    @property
    def usable(self) -> bool:
        return not self._lost and not self._raw and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        return self._done and self._keep and self.usable

    # Asking

    def send(self, request: httpx2.Request) -> None:
        self._reset()
        target = request.url.raw_path.decode("ascii")
        lines = [f"{request.method} {target} HTTP/1.1".encode()]
        lines += [b"%b: %b" % pair for pair in request.headers.raw]
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + request.content)

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        while True:
            while (end := self._raw.find(b"\r\n\r\n")) < 0:
                if self._lost and not self._raw:
                    raise GoneError("no answer")
                if self._lost or len(self._raw) > MAX_HEAD_BYTES:
                    raise httpx2.RemoteProtocolError("no proper answer")
                await self._wait()
            first, *lines = bytes(self._raw[:end]).split(b"\r\n")
            del self._raw[: end + 4]
            status, headers = self._parse_head(first, lines)
            if status >= 200:  # 1xx is only a preface
                self._in_head = False
                self._understand()
                return status, headers

    def _parse_head(
        self, first: bytes, lines: list[bytes]
    ) -> tuple[int, list[tuple[bytes, bytes]]]:
        version, _, rest = first.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise httpx2.RemoteProtocolError("not HTTP")
        pairs = [line.partition(b":") for line in lines]
        headers = [(name.strip(), value.strip()) for name, _, value in pairs]
        by_name = {name.lower(): value.lower() for name, value in headers}
        status = int(rest[:3])
        self._keep = version != b"HTTP/1.0" and by_name.get(b"connection") != b"close"
        self._chunked = b"chunked" in by_name.get(b"transfer-encoding", b"")
        self._left = 0
        if not self._chunked and status not in (204, 304):
            length = by_name.get(b"content-length")
            if length is not None and not (length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
                raise httpx2.RemoteProtocolError("bad length")
            self._left = None if length is None else int(length)
            self._done = self._left == 0
        elif not self._chunked:
            self._done = True
        return status, headers

    # Reading

    async def read(self) -> bytes:
        while not self._body:
            if self._done:
                return b""
            if self._error or self._lost:
                raise self._error or httpx2.RemoteProtocolError("the answer was cut off")
            await self._wait()
        piece = b"".join(self._body)
        self._body.clear()
        self._size = 0
        if self._paused and not self._lost:
            self._paused = False
            self._transport.resume_reading()
        return piece

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        self._lost = True
        self._transport.abort()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._raw += data
        if not self._in_head:
            self._understand()
            if self._size > HIGH_WATER_BYTES and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if not self._in_head and self._left is None and not self._chunked and exc is None:
            self._done = True
        elif exc is not None:
            self._error = httpx2.ReadError("the connection broke")
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    # From bytes on the wire to bytes of the body

    def _understand(self) -> None:
        if self._done:
            return
        if self._chunked:
            try:
                self._dechunk()
            except ValueError:
                self._error = httpx2.RemoteProtocolError("broken chunks")
            return
        piece = bytes(self._raw if self._left is None else self._raw[: self._left])
        del self._raw[: len(piece)]
        self._add(piece)
        if self._left is not None:
            self._left -= len(piece)
            self._done = self._left == 0

    def _dechunk(self) -> None:
        raw, at, left = bytes(self._raw), 0, self._left or 0
        end = len(raw)
        while at < end and not self._done:
            if left:
                piece = raw[at : at + left]
                self._add(piece)
                at += len(piece)
                left -= len(piece)
                self._after_chunk = left == 0
                continue
            newline = raw.find(b"\n", at)
            if newline < 0:
                if end - at > MAX_HEAD_BYTES:
                    raise ValueError("no chunk size")
                break
            line, at = raw[at:newline].strip(), newline + 1
            if self._after_chunk or self._trailer:
                self._done = self._trailer and not line
                self._after_chunk = False
            else:
                size = line.partition(b";")[0].strip()
                if not CHUNK_SIZE.fullmatch(size):  # int() would take -5 too, which never ends.
                    raise ValueError("no chunk size")
                left = int(size, 16)
                self._trailer = left == 0
        self._left = left
        del self._raw[:at]

    def _add(self, piece: bytes) -> None:
        if piece:
            self._body.append(piece)
            self._size += len(piece)
