"""The bench's own HTTP and WebSocket clients, written to use as little CPU as possible."""

import asyncio
import base64
import os
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

OnText = Callable[[bytes, int], None]  # the text, and when it came (monotonic ns)


class Http:
    """An HTTP client with one keep-alive connection and cookies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host = urlsplit(url).netloc
        self.cookies: dict[str, str] = {}
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes, int]:
        """Returns status, headers, body as sent, and the size of the whole response in bytes.

        A body of bytes is sent as it is, any other as JSON.
        """
        is_raw = isinstance(body, bytes)
        data = b"" if body is None else body if is_raw else orjson.dumps(body)
        fields = {"Host": self.host, "Cookie": self.cookie} | (headers or {})
        if body is not None:
            kind = "application/octet-stream" if is_raw else "application/json"
            fields |= {"Content-Type": kind, "Content-Length": str(len(data))}
            fields |= {"X-CSRFToken": self.cookies.get("csrftoken", ""), "Origin": self.url}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        asked = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data
        try:
            reader, (status, answer, size) = await self._ask(asked)
        except (asyncio.IncompleteReadError, ConnectionError):  # it was idle for too long
            self.close()
            reader, (status, answer, size) = await self._ask(asked)
        content, more = await _content(reader, answer)
        if answer.get("connection") == "close":
            self.close()
        return status, answer, content, size + more

    async def _ask(
        self, asked: bytes
    ) -> tuple[asyncio.StreamReader, tuple[int, dict[str, str], int]]:
        if self._streams is None:
            host, port = self.host.rsplit(":", 1)
            self._streams = await asyncio.open_connection(host, int(port), limit=1 << 24)
        reader, writer = self._streams
        writer.write(asked)
        return reader, await self._head(reader)

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], int]:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").strip().split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            if name.lower() == "set-cookie":
                key, _, rest = value.strip().partition("=")
                self.cookies[key] = rest.partition(";")[0]
            headers[name.lower()] = value.strip()
        return int(first.split(" ")[1]), headers, len(raw)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _content(reader: asyncio.StreamReader, headers: dict[str, str]) -> tuple[bytes, int]:
    if "chunked" not in headers.get("transfer-encoding", ""):
        length = int(headers.get("content-length", 0))
        return await reader.readexactly(length), length
    content, size = b"", 0
    while True:
        line = await reader.readline()
        chunk = await reader.readexactly(int(line, 16) + 2)
        size += len(line) + len(chunk)
        content += chunk[:-2]
        if len(chunk) == 2:
            return content, size


class Socket(asyncio.Protocol):
    """A WebSocket client. `on_text` is called for each text frame; `received` counts raw bytes."""

    def __init__(self, request: bytes, on_text: OnText) -> None:
        self.on_text = on_text
        self.received = self.frames = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        self._request = request
        self._buffer = b""
        self._inflate: Any = None

    @classmethod
    async def open(
        cls, url: str, path: str, on_text: OnText, *, cookie: str = "", deflate: bool = False
    ) -> "Socket":
        host, port = urlsplit(url).netloc.rsplit(":", 1)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Origin: {url}",
            *([f"Cookie: {cookie}"] if cookie else []),
            # The same value as Chromium and Firefox send.
            *(["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"] * deflate),
        ]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_connection(lambda: cls(request, on_text), host, int(port))
        await asyncio.wait_for(socket.opened, 30)
        return socket

    def send(self, message: Any) -> None:
        payload = orjson.dumps(message)
        head = b"\x81" + (
            bytes([0x80 | len(payload)])
            if len(payload) < 126
            else b"\xfe" + struct.pack("!H", len(payload))
        )
        self._transport.write(head + b"\0\0\0\0" + payload)  # zeros are a valid mask

    def close(self) -> None:
        self._transport.abort()

    # Protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the WebSocket was refused"))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._buffer = self._buffer + data if self._buffer else data
        if not self.opened.done():
            self._handshake()
            return
        self.received += len(data)
        self._frames(now)

    def _handshake(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self.opened.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
            self._transport.abort()
            return
        if b"permessage-deflate" in head:
            self._inflate = zlib.decompressobj(-15)
        self.opened.set_result(None)
        self._buffer = rest
        self.received += len(rest)
        self._frames(time.monotonic_ns())

    def _frames(self, now: int) -> None:
        buffer, at, end = self._buffer, 0, len(self._buffer)
        while end - at >= 2:
            length, start = buffer[at + 1], at + 2
            if length == 126:
                if end < start + 2:
                    break
                length, start = int.from_bytes(buffer[start : start + 2]), start + 2
            elif length == 127:
                if end < start + 8:
                    break
                length, start = int.from_bytes(buffer[start : start + 8]), start + 8
            if end < start + length:
                break
            first, payload = buffer[at], buffer[start : start + length]
            at = start + length
            if first & 0x0F == 1:
                self.frames += 1
                if first & 0x40:
                    payload = self._inflate.decompress(payload + b"\x00\x00\xff\xff")
                self.on_text(payload, now)
            elif first & 0x0F == 9:
                self._transport.write(b"\x8a\x80\0\0\0\0")
        self._buffer = buffer[at:]
