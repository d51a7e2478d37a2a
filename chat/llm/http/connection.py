"""A connection to a model server, and the exchange of one request and its response over it.

All bytes read belong to an exchange; the connection buffers none. An exchange owns the connection
from the request until the response has been read completely. Then each drops its reference to the
other, so that an old exchange cannot read, close or release a connection that another one owns.
"""

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httpx2

from chat.llm.http.response_parser import Headers, ResponseParser

HIGH_WATER_BYTES = 128 * 1024  # Reading pauses when there are more unread bytes than this.
# A request is written in pieces of this size, one in each turn of the event loop: encrypting four
# megabytes at once takes 5 to 10 ms.
PIECE_BYTES = 256 * 1024


class NotOwnerError(httpx2.StreamError):
    """A bug in our code: something used a connection that it does not own."""


class Connection(asyncio.Protocol):
    """One socket. Data that arrives while the socket has no owner closes it."""

    def __init__(self) -> None:
        self._owner: Exchange | None = None
        self._lost = self._paused = False
        # The rest of the request that is being written. Not an empty view, which would hold the
        # whole body in memory.
        self._unsent: memoryview | None = None
        self._transport: asyncio.Transport
        # Called once, when it closes while it has no owner.
        self.on_idle_closed: Callable[[Connection], None] = lambda connection: None

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: no owner, no input, not closed, nothing left to write."""
        transport = self._transport
        return not (
            self._owner
            or self._lost
            or self._paused
            or transport.is_closing()
            or self._unsent
            or transport.get_write_buffer_size()
            or _has_input(transport)
        )

    # For its owner

    def start(self, owner: "Exchange", head: bytes, body: bytes) -> None:
        if self._owner is not None:
            raise NotOwnerError("the connection is in use")
        if self._lost or self._transport.is_closing():
            raise httpx2.ConnectError("the connection closed before it was used")
        self._owner = owner
        self._transport.write(head + body[:PIECE_BYTES])
        self._write_later(memoryview(body)[PIECE_BYTES:])

    def release(self, owner: "Exchange") -> None:
        self._check(owner)
        self._owner = None

    def abort(self, owner: "Exchange") -> None:
        self._check(owner)
        self._owner = None
        self.close()

    def pause(self, owner: "Exchange") -> None:
        self._check(owner)
        if not self._paused and not self._lost:
            self._paused = True
            self._transport.pause_reading()

    def resume(self, owner: "Exchange") -> None:
        self._check(owner)
        if self._paused and not self._lost:
            self._paused = False
            self._transport.resume_reading()

    def _check(self, owner: "Exchange") -> None:
        if self._owner is not owner:
            raise NotOwnerError("the connection belongs to another request")

    # For the pool

    def close(self) -> None:
        """Closes an idle connection. Raises NotOwnerError if it has an owner."""
        if self._owner is not None:
            raise NotOwnerError("the connection is in use")
        if not self._lost:
            self._lost = True
            self._transport.abort()
            self.on_idle_closed(self)

    # Called by the event loop

    def _write_later(self, rest: memoryview) -> None:
        self._unsent = rest or None
        if rest:
            asyncio.get_running_loop().call_soon(self._write_piece)

    def _write_piece(self) -> None:
        rest = self._unsent
        if rest is None or self._lost or self._transport.is_closing():
            return
        self._transport.write(rest[:PIECE_BYTES])
        self._write_later(rest[PIECE_BYTES:])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._owner is not None:
            self._owner.feed(data)
        else:
            self.close()

    def eof_received(self) -> None:
        if self._owner is None:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        had_closed, self._lost = self._lost, True
        if self._owner is not None:
            self._owner.on_connection_lost(exc)
        elif not had_closed:
            self.on_idle_closed(self)


class Exchange:
    """One request and its response."""

    def __init__(self, connection: Connection, method: str, head: bytes, body: bytes) -> None:
        self._connection: Connection | None = connection
        self._parser = ResponseParser(method)
        self._unread_bytes = 0
        self._read_to_end = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        connection.start(self, head, body)

    async def head(self) -> tuple[int, Headers]:
        """Status and headers. Raises an httpx2 error if the connection breaks before."""
        while not self._parser.has_head:
            if self._error:
                raise self._error
            await self._wait()
        return self._parser.status, self._parser.headers

    async def read(self) -> bytes:
        """All body bytes received since the last call; b"" at the end."""
        pieces = self._parser.pieces
        while not pieces:
            if self._connection is None:
                raise httpx2.StreamClosed
            if self._parser.complete:
                self._read_to_end = True
                return b""
            if self._error:
                raise self._error
            await self._wait()
        if self._connection is None:
            raise httpx2.StreamClosed
        piece = b"".join(pieces)
        pieces.clear()
        self._unread_bytes = 0
        self._connection.resume(self)
        return piece

    def close(self) -> Connection | None:
        """Returns the connection if it can be used again. Otherwise aborts it, which stops the
        model, and returns None. Later calls do nothing."""
        connection, self._connection = self._connection, None
        if connection is None:
            return None
        self._parser.pieces.clear()
        self._parser.free()
        self._wake()
        if self._read_to_end and self._parser.reusable:
            connection.release(self)
            if connection.usable:
                return connection
            connection.close()
        else:
            connection.abort(self)
        return None

    def abort(self) -> None:
        self._read_to_end = False
        self.close()

    # Called by the connection

    def feed(self, data: bytes) -> None:
        if self._error or self._connection is None:
            return
        try:
            self._parser.feed(data)
        except httpx2.RemoteProtocolError as error:
            self._error = error
        self._unread_bytes += len(data)
        if self._unread_bytes > HIGH_WATER_BYTES:
            self._connection.pause(self)
        self._wake()

    def on_connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._error = self._error or httpx2.ReadError("the connection broke")
        elif not self._parser.end():
            self._error = self._error or httpx2.RemoteProtocolError("the response was cut off")
        self._wake()

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise NotOwnerError("another task is reading this response")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


def request_head(request: httpx2.Request) -> bytes:
    target = request.url.raw_path.decode("ascii")
    lines = [f"{request.method} {target} HTTP/1.1".encode()]
    lines += [b"%b: %b" % pair for pair in request.headers.raw]
    if any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0")):
        raise httpx2.LocalProtocolError("a header of the request has a line end")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _has_input(transport: asyncio.Transport) -> bool:
    """Whether the socket has input, or its end, that the event loop has not read yet."""
    sock = transport.get_extra_info("socket")
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return True
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))
