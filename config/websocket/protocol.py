"""What Daphne's WebSockets lack: compression, frames of any length going out, and bounds.

Frames of one socket are much alike, so compressed with what went before them they shrink to a
fifth. What that costs is bounded: a window of 2 kB and small tables, 16 kB of memory for each
socket, and 4 us a frame. What comes in is a few short commands, each compressed by itself.

A client costs what it reads: all that is sent goes through a `Flow` (config/websocket/flow.py), and
a client that takes nothing of it is cut off. What it may send is bounded in number and in length.
"""

import struct
from typing import Any

from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from daphne.ws_protocol import WebSocketProtocol
from django.conf import settings
from twisted.internet.tcp import Connection

from chat.websocket.session_socket import CLOSE_BAD_MESSAGE, CLOSE_TOO_MANY, CLOSE_TOO_SLOW
from config.websocket.flow import Flow
from config.websocket.frame_rate import FrameRate
from config.websocket.totals import TOTALS

WINDOW_BITS = 11
MEMORY_LEVEL = 4
CLIENT_WINDOW_BITS = 10
# Shorter messages gain nothing.
COMPRESS_FROM_BYTES = 64
FIRST_BYTE, FIRST_BYTE_COMPRESSED = 0x81, 0xC1  # a whole text message, and its bit RSV1
# How long a client that closed may take to read what was written before.
LINGER_S = 2.0
LOOK_EVERY_S = 1.0


class Socket(WebSocketProtocol):  # type: ignore[misc]
    flow: Flow
    _looking: Any = None  # an IDelayedCall

    def connectionMade(self) -> None:
        self.flow = Flow(self.transport, TOTALS, lambda: self._end(CLOSE_TOO_SLOW))
        self.flow.share("process", settings.SOCKET_WAITING_BYTES)
        self._frames = FrameRate()
        self._has_asked = False
        super().connectionMade()
        # The HTTP channel was it before, which cares for HTTP alone.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.flow, True)

    def connectionLost(self, *reason: Any) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self.flow.stopProducing()  # The transport told it only if it was still its producer.
        super().connectionLost(*reason)

    # What goes out

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        """Text goes out by a shorter way than autobahn's, which costs as much again for each frame
        and applies to it the limit that is meant for what clients send."""
        if binary or isinstance(content, bytes):
            super().serverSend(content, binary)
        elif self.state == self.STATE_OPEN:
            self._write(self._frame(content.encode()))

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """All that autobahn itself writes: the handshake, pings and pongs, the end."""
        self._write(data)

    def _write(self, data: bytes) -> None:
        """Straight to the network when nothing waits before it: Twisted would register the socket
        with the loop, write when called back, and take it off again, for every single frame."""
        sent = 0
        if self.flow.is_empty and _writes_at_once(self.transport):
            written = self.transport.writeSomeData(data)
            # A lost connection is Twisted's to notice: it is when it writes, or reads.
            sent = written if isinstance(written, int) else 0
        if sent < len(data):
            self.flow.write(data, sent)
            self._look_later()

    def _look_later(self) -> None:
        if self._looking is None and self.flow.waiting_bytes:
            self._looking = self.factory.reactor.callLater(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """End the connection of a client that takes nothing of what waits for it."""
        self._looking = None
        if self.flow.still_s * 1000 > settings.SOCKET_STALL_TIMEOUT_MS:
            self._end(CLOSE_TOO_SLOW)
        else:
            self._look_later()

    def _frame(self, payload: bytes) -> bytes:
        first = FIRST_BYTE
        deflate = self._perMessageCompress
        if deflate is not None and len(payload) >= COMPRESS_FROM_BYTES:
            first = FIRST_BYTE_COMPRESSED
            deflate.start_compress_message()
            payload = deflate.compress_message_data(payload) + deflate.end_compress_message()
        length = len(payload)
        if length < 126:
            return bytes((first, length)) + payload
        if length < 65_536:
            return struct.pack("!BBH", first, 126, length) + payload
        return struct.pack("!BBQ", first, 127, length) + payload

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        """Nothing may come between the request and its answer: it would be kept, and read as
        another request."""
        if self.state == self.STATE_CONNECTING and self._has_asked:
            self.transport.abortConnection()
            return
        self._has_asked = True
        super().dataReceived(data)

    def onFrameBegin(self) -> None:
        super().onFrameBegin()
        if not self._frames.take():
            self._refuse(CLOSE_TOO_MANY)

    def _max_message_size_exceeded(self, *_: Any) -> None:
        self._refuse(CLOSE_BAD_MESSAGE)

    def onPing(self, payload: bytes) -> None:
        """Whoever does not read is owed no pong."""
        if not self.flow.is_full:
            super().onPing(payload)

    def _refuse(self, code: int) -> None:
        """Close, and hear no more, not even the end of what has come already."""
        self.failedByMe = True
        self.data = b""
        self.transport.pauseProducing()
        self._end(code)

    # How it ends

    def _end(self, code: int) -> None:
        """A client that does not answer the close frame is cut off after a second, by autobahn."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code)
        elif self.state == self.STATE_CONNECTING:
            self.transport.abortConnection()

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        """The end comes before all that the client has got nothing of yet."""
        if self.state == self.STATE_OPEN:
            self.flow.close()
        super().sendCloseFrame(*args, **kwargs)

    def dropConnection(self, abort: bool = False) -> None:
        """A connection that may be closed in order has some seconds for it."""
        if not abort:
            self.unregisterProducer()
            self.flow.hand_over()
            self.factory.reactor.callLater(LINGER_S, self.transport.abortConnection)
        super().dropConnection(abort)


def _writes_at_once(transport: Any) -> bool:
    """Whether it is a plain, open connection with nothing still to be written."""
    return isinstance(transport, Connection) and not (
        transport.dataBuffer
        or transport._tempDataBuffer
        or transport.disconnecting
        or not transport.connected
    )


def prepare(factory: Any) -> None:
    """Has Daphne's WebSocket factory make these sockets."""
    factory.protocol = Socket
    factory.setProtocolOptions(perMessageCompressionAccept=_accept)


def _accept(offers: list[Any]) -> PerMessageDeflateOfferAccept | None:
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer) and not offer.request_max_window_bits:
            return PerMessageDeflateOfferAccept(  # type: ignore[no-untyped-call]
                offer,
                request_no_context_takeover=offer.accept_no_context_takeover,
                request_max_window_bits=CLIENT_WINDOW_BITS if offer.accept_max_window_bits else 0,
                window_bits=WINDOW_BITS,
                mem_level=MEMORY_LEVEL,
            )
    return None
