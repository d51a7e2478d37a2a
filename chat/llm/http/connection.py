"""One connection to a model's server, and one exchange of a request and its answer over it.

All that is read belongs to an exchange: the connection itself keeps no byte. It has one owner at a
time, from the request until the answer was read to its very end; then it forgets its exchange, and
the exchange the connection, so nobody can read, close or give back what is somebody else's now.
"""

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httpx2

from chat.llm.http.response_parser import AnswerParser, Headers

HIGH_WATER_BYTES = 128 * 1024  # unread bytes at which the socket is left alone


class NotOwnerError(httpx2.StreamError):
    """A fault of our own code: somebody used a connection that is not theirs."""


class Connection(asyncio.Protocol):
    """One socket. While nobody owns it, whatever comes closes it."""

    def __init__(self) -> None:
        self._owner: Exchange | None = None
        self._lost = self._paused = False
        self._transport: asyncio.Transport
        # Called once when it closes while it belongs to nobody.
        self.on_idle_end: Callable[[Connection], None] = lambda connection: None

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: nothing has come, not even an end, and all is written."""
        transport = self._transport
        return not (
            self._owner
            or self._lost
            or self._paused
            or transport.is_closing()
            or transport.get_write_buffer_size()
            or _has_input(transport)
        )

    # For its owner

    def begin(self, owner: "Exchange", request: bytes) -> None:
        if self._owner is not None:
            raise NotOwnerError("the connection is in use")
        if self._lost or self._transport.is_closing():
            raise httpx2.ConnectError("the connection closed before it was used")
        self._owner = owner
        self._transport.write(request)

    def release(self, owner: "Exchange") -> None:
        self._check(owner)
        self._owner = None

    def cut(self, owner: "Exchange") -> None:
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
        """Not while somebody owns it: the owner cuts it."""
        if self._owner is not None:
            raise NotOwnerError("the connection is in use")
        if not self._lost:
            self._lost = True
            self._transport.abort()
            self.on_idle_end(self)

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._owner is not None:
            self._owner.received(data)
        else:
            self.close()

    def eof_received(self) -> None:
        if self._owner is None:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        was_lost, self._lost = self._lost, True
        if self._owner is not None:
            self._owner.lost(exc)
        elif not was_lost:
            self.on_idle_end(self)


class Exchange:
    """One request and its answer. `read` gives all that came since the last one, b"" at the end."""

    def __init__(self, connection: Connection, method: str, request: bytes) -> None:
        self._connection: Connection | None = connection
        self._parser = AnswerParser(method)
        self._unread_bytes = 0
        self._read_to_end = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        connection.begin(self, request)

    async def head(self) -> tuple[int, Headers]:
        while not self._parser.has_head:
            if self._error:
                raise self._error
            await self._wait()
        return self._parser.status, self._parser.headers

    async def read(self) -> bytes:
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
        """Gives the connection back if it may be used again, else cuts it, which stops the model.

        Once only: later calls find none.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return None
        self._parser.pieces.clear()
        self._wake()
        if self._read_to_end and self._parser.reusable:
            connection.release(self)
            if connection.usable:
                return connection
            connection.close()
        else:
            connection.cut(self)
        return None

    def cut(self) -> None:
        self._read_to_end = False
        self.close()

    # What the connection calls

    def received(self, data: bytes) -> None:
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

    def lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._error = self._error or httpx2.ReadError("the connection broke")
        elif not self._parser.end():
            self._error = self._error or httpx2.RemoteProtocolError("the answer was cut off")
        self._wake()

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise NotOwnerError("somebody else is reading this answer")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


def request_bytes(request: httpx2.Request) -> bytes:
    target = request.url.raw_path.decode("ascii")
    lines = [f"{request.method} {target} HTTP/1.1".encode()]
    lines += [b"%b: %b" % pair for pair in request.headers.raw]
    if any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0")):
        raise httpx2.LocalProtocolError("a header of the request has a line end")
    return b"\r\n".join(lines) + b"\r\n\r\n" + request.content


def _has_input(transport: asyncio.Transport) -> bool:
    """Whether something, or the end, waits to be read of the socket that the loop has not seen."""
    sock = transport.get_extra_info("socket")
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return True
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))
