"""A WebSocket client on a plain socket; the test decides when it reads and which bytes it sends."""

import os
import select
import socket
import struct
import time
from typing import Self
from urllib.parse import urlsplit

from tests.client import Client

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80


class RawSocket:
    """`received` holds (opcode, payload) of each frame that was read; `code` is the close code,
    or 1006 when the connection ended without one."""

    def __init__(self, url: str, cookies: str, *, receive_buffer: int | None = None) -> None:
        host, port = urlsplit(url).netloc.split(":")
        self._wire = socket.socket()
        if receive_buffer:
            self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._wire.settimeout(10)
        self._wire.connect((host, int(port)))
        lines = [
            "GET /ws HTTP/1.1",
            f"Host: {host}:{port}",
            f"Origin: {url}",
            f"Cookie: {cookies}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]
        self._wire.sendall("\r\n".join([*lines, "", ""]).encode())
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            data = self._wire.recv(65_536)
            assert data, f"the connection ended after {self._data!r}"
            self._data += data
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.received: list[tuple[int, bytes]] = []
        self.code: int | None = None
        self._parse()  # The first frames may have come together with the head.

    @classmethod
    def of(cls, client: Client, **options: int) -> Self:
        cookies = "; ".join(f"{name}={value}" for name, value in client.http.cookies.items())
        return cls(client.url, cookies, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def send(self, payload: str | bytes, opcode: int = TEXT, *, fin: bool = True) -> None:
        self.send_raw(masked(payload, opcode, fin=fin))

    def send_raw(self, data: bytes) -> None:
        """Raises OSError once the server has ended the connection."""
        self._wire.sendall(data)

    def read(self, until: float = 0.2) -> None:
        """Reads until nothing has come for `until` seconds, or until the connection ends."""
        while self.code is None and select.select([self._wire], [], [], until)[0]:
            try:
                data = self._wire.recv(262_144)
            except OSError:
                data = b""
            self._data += data
            self._parse()
            if not data and self.code is None:
                self.code = 1006

    def read_to_end(self, within_s: float = 10) -> int:
        """Reads until the connection ends; returns the close code."""
        until = time.monotonic() + within_s
        while self.code is None:
            assert time.monotonic() < until, "the socket is still open"
            self.read(0.1)
        return self.code

    def is_cut(self) -> bool:
        """Returns whether the server has ended the connection, without reading."""
        poll = select.poll()
        poll.register(self._wire, select.POLLRDHUP)  # errors are always reported, too
        return bool(poll.poll(0))

    def texts(self) -> list[str]:
        return [payload.decode() for opcode, payload in self.received if opcode == TEXT]

    def _parse(self) -> None:
        while (frame := _first_frame(self._data)) is not None:
            opcode, payload, size = frame
            self._data = self._data[size:]
            self.received.append((opcode, payload))
            if opcode == CLOSE:
                self.code = struct.unpack("!H", payload[:2])[0] if payload else 1005


def masked(payload: str | bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    data = payload.encode() if isinstance(payload, str) else payload
    first = (FIN if fin else 0) | opcode
    size, key = len(data), os.urandom(4)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    repeated = (key * (size // 4 + 1))[:size]
    coded = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
    return head + key + coded.to_bytes(size, "big")


def _first_frame(data: bytes) -> tuple[int, bytes, int] | None:
    """Returns (opcode, payload, size in bytes) of the first frame, or None if it is incomplete."""
    if len(data) < 2:
        return None
    size, begin = data[1] & 0x7F, 2
    if size >= 126:
        begin += 2 if size == 126 else 8
        if len(data) < begin:
            return None
        size = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + size:
        return None
    return data[0] & 0x0F, data[begin : begin + size], begin + size
