"""What Daphne's WebSockets lack: compression, and frames of any length going out.

Frames of one socket are much alike, so compressed with what went before them they shrink to a
fifth. What that costs is bounded: a window of 2 kB and small tables, 16 kB of memory for each
socket, and 4 us a frame. What comes in is a few short commands, each compressed by itself.
"""

import struct
from typing import Any

from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.tcp import Connection

WINDOW_BITS = 11
MEMORY_LEVEL = 4
CLIENT_WINDOW_BITS = 10
# Shorter messages gain nothing.
COMPRESS_FROM_BYTES = 64
FIRST_BYTE, FIRST_BYTE_COMPRESSED = 0x81, 0xC1  # a whole text message, and its bit RSV1


class Socket(WebSocketProtocol):  # type: ignore[misc]
    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        """Text goes out by a shorter way than autobahn's, which costs as much again for each frame
        and applies to it the limit that is meant for what clients send."""
        if binary or isinstance(content, bytes) or self.send_queue:
            super().serverSend(content, binary)
        elif self.state == self.STATE_OPEN:
            self._write(self._frame(content.encode()))

    def _write(self, data: bytes) -> None:
        """Straight to the network when nothing waits before it: Twisted would register the socket
        with the loop, write when called back, and take it off again, for every single frame."""
        transport: Any = self.transport
        if not _writes_at_once(transport):
            transport.write(data)
            return
        sent = transport.writeSomeData(data)
        # A lost connection is Twisted's to notice: it is when it writes, or reads.
        if not isinstance(sent, int) or sent < len(data):
            transport.write(data[sent if isinstance(sent, int) else 0 :])

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
