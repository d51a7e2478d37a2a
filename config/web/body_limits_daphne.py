"""Daphne's HTTP requests with a bound on the body that is stored before the application runs.

config/web/body_limits.py has the bounds and the response.
"""

from typing import Any

from daphne.http_protocol import WebRequest

from accounts.refusals import refusal_response
from chat.errors import BodyTooLarge
from config.web.body_limits import largest_body
from config.web.connections import Connections
from config.web.http_channel import Channel
from config.websocket.flow import Flow

# Bytes past the bound that are read and dropped: a browser reads the response only after it has
# sent the body.
DROPPED_BYTES = 50_000_000


class Request(WebRequest):  # type: ignore[misc]
    """Keeps one byte more than the bound, so that `BoundedBodies` notices a body past it.

    A client that announces far more, or asks first (Expect: 100-continue), gets a short response at
    once, and its connection is closed.
    """

    flow: Flow | None = None  # of the response, once the application runs
    _is_cut = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Twisted would parse every form here, in the event loop, although Django does so itself.
        # Parsing 20 MB of empty parts took it 42 s and 860 MB.
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:
        path = self.channel._path.partition(b"?")[0].decode("latin-1")
        self._bound = largest_body(path)
        self._received_bytes = 0
        super().gotLength(length if length is None else min(length, self._bound + 1))
        if length is not None and length > self._bound:
            asks_first = self.requestHeaders.hasHeader(b"Expect")
            if asks_first or length > self._bound + DROPPED_BYTES:
                self.requestHeaders.removeHeader(b"Expect")
                self._cut(path)

    def handleContentChunk(self, data: bytes) -> None:
        if self._is_cut:
            return
        room = self._bound + 1 - self._received_bytes
        self._received_bytes += len(data)
        if room > 0:
            super().handleContentChunk(data[:room])
        elif self._received_bytes > self._bound + DROPPED_BYTES:
            self._cut(self.channel._path.partition(b"?")[0].decode("latin-1"))

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._is_cut:
            super().requestReceived(command, path, version)

    def _cut(self, path: str) -> None:
        self._is_cut = True
        kind, body = b"text/plain; charset=utf-8", f"{BodyTooLarge.message}\n".encode()
        if path.startswith("/api/"):
            kind, body = b"application/json", refusal_response(BodyTooLarge()).content
        lines = [
            b"HTTP/1.1 413 Content Too Large",
            b"Content-Type: " + kind,
            b"Content-Length: %d" % len(body),
            b"Cache-Control: private, no-store",
            b"X-Content-Type-Options: nosniff",
            b"Connection: close",
        ]
        self.channel.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.channel.loseConnection()


def prepare(factory: Any) -> None:
    """Makes Daphne's HTTP factory use `Request` and `Channel`."""
    factory.protocol = Channel
    build = factory.buildProtocol

    def build_bounded(address: Any) -> Any:
        protocol = build(address)
        protocol.requestFactory = Request
        return protocol

    factory.buildProtocol = Connections().limited(build_bounded)
