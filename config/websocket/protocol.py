"""Daphne's WebSockets with compression, outgoing frames of any length, and bounds.

The frames of one socket resemble each other: compressed in the context of the earlier ones they
shrink to a fifth. The cost is bounded: a window of 2 kB and small tables take 16 kB of memory for
each socket and 4 us a frame. Clients send a few short commands, each compressed by itself.

Everything that is sent goes through a `Flow` (config/websocket/flow.py), and a client that reads
none of it is disconnected. The frames of a client are bounded in number and in length.
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
# How long a closing client may take to read the bytes written before.
LINGER_S = 2.0
CHECK_EVERY_S = 1.0


class Socket(WebSocketProtocol):  # type: ignore[misc]
    flow: Flow
    _stall_check: Any = None  # an IDelayedCall

    def connectionMade(self) -> None:
        self.flow = Flow(self.transport, TOTALS, lambda: self._end(CLOSE_TOO_SLOW))
        self.flow.share("process", settings.SOCKET_WAITING_BYTES)
        self._frames = FrameRate()
        self._has_asked = False
        super().connectionMade()
        # Before, the HTTP channel was the producer.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.flow, True)

    def connectionLost(self, *reason: Any) -> None:
        if self._stall_check is not None:
            self._stall_check.cancel()
            self._stall_check = None
        self.flow.stopProducing()  # The transport calls it only while the flow is its producer.
        super().connectionLost(*reason)

    # Outgoing

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        """Sends text without autobahn, which would double the cost of a frame and apply the limit
        for clients' messages to it."""
        if binary or isinstance(content, bytes):
            super().serverSend(content, binary)
        elif self.state == self.STATE_OPEN:
            self._write(self._frame(content.encode()))

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Writes what autobahn itself sends: handshake, pings and pongs, close frames."""
        self._write(data)

    def _write(self, data: bytes) -> None:
        """Writes to the network at once when nothing is queued. Twisted would register the socket
        with the event loop, write in the callback and unregister it, for every single frame."""
        sent = 0
        if self.flow.is_empty and _writes_at_once(self.transport):
            written = self.transport.writeSomeData(data)
            # Twisted notices a lost connection at the next write or read.
            sent = written if isinstance(written, int) else 0
        if sent < len(data):
            self.flow.write(data, sent)
            self._schedule_stall_check()

    def _schedule_stall_check(self) -> None:
        if self._stall_check is None and self.flow.waiting_bytes:
            self._stall_check = self.factory.reactor.callLater(CHECK_EVERY_S, self._check_stall)

    def _check_stall(self) -> None:
        """Disconnect a client that reads none of the bytes that wait for it."""
        self._stall_check = None
        if self.flow.still_s * 1000 > settings.SOCKET_STALL_TIMEOUT_MS:
            self._end(CLOSE_TOO_SLOW)
        else:
            self._schedule_stall_check()

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

    # Incoming

    def dataReceived(self, data: bytes) -> None:
        """Refuses bytes between the request and its response: they would be buffered and read as
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
        """Sends no pong to a client that does not read."""
        if not self.flow.is_full:
            super().onPing(payload)

    def _refuse(self, code: int) -> None:
        """Close, and handle nothing more, not even bytes that have arrived already."""
        self.failedByMe = True
        self.data = b""
        self.transport.pauseProducing()
        self._end(code)

    # The end

    def _end(self, code: int) -> None:
        """Closes the socket. autobahn disconnects a client that does not answer the close frame
        within a second."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code)
        elif self.state == self.STATE_CONNECTING:
            self.transport.abortConnection()

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        """Drops the queued messages, so that the close frame is next."""
        if self.state == self.STATE_OPEN:
            self.flow.close()
        super().sendCloseFrame(*args, **kwargs)

    def dropConnection(self, abort: bool = False) -> None:
        """Disconnects; an orderly close may take LINGER_S seconds."""
        if not abort:
            self.unregisterProducer()
            self.flow.hand_over()
            self.factory.reactor.callLater(LINGER_S, self.transport.abortConnection)
        super().dropConnection(abort)


def _writes_at_once(transport: Any) -> bool:
    """Whether this is an open TCP connection with an empty buffer."""
    return isinstance(transport, Connection) and not (
        transport.dataBuffer
        or transport._tempDataBuffer
        or transport.disconnecting
        or not transport.connected
    )


def prepare(factory: Any) -> None:
    """Makes Daphne's WebSocket factory use `Socket`."""
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
