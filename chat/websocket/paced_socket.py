"""A socket that sends no faster than its client reads.

A client's acknowledgements can only slow down its socket. The bound is `_flow`, which knows how
much the network has taken: a sender awaits room before it builds a message. Messages from handlers
that must not wait, such as pongs, are dropped.
"""

import asyncio
from typing import Any

import orjson

from chat.websocket.session_socket import CLOSE_TOO_SLOW, SessionSocket

# How many unacknowledged bytes may be in transit to a client.
WINDOW_BYTES = 4_000_000
WINDOW_TIMEOUT_S = 30.0


class PacedSocket(SessionSocket):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent_bytes = 0
        self._acked_bytes = 0
        self._acked = asyncio.Event()

    def _acknowledge(self, count: int) -> None:
        """Record how many bytes the client has read in total, at most the number that was sent."""
        self._acked_bytes = max(self._acked_bytes, min(count, self._sent_bytes))
        self._acked.set()

    async def _answer_ping(self) -> None:
        # A pong does not wait like a frame, so a client that sends pings without reading is closed.
        if self._outstanding > 2 * WINDOW_BYTES:
            await self.close(CLOSE_TOO_SLOW)
        elif not self._flow.is_full:
            await self._send_json({"type": "pong"})

    async def _send_frame(self, text: str) -> None:
        """Send once the client has acknowledged and read enough of the previous messages."""
        with self._flow.hold(len(text)):
            await self._wait_for_acknowledgement()
            await self._flow.room()
        await self._send_text(text)

    async def _wait_for_acknowledgement(self) -> None:
        while self._outstanding > WINDOW_BYTES:
            self._acked.clear()
            try:
                # Not `wait_for`: before Python 3.12 it can lose a cancellation.
                async with asyncio.timeout(WINDOW_TIMEOUT_S):
                    await self._acked.wait()
            except TimeoutError:
                await self.close(CLOSE_TOO_SLOW)
                raise asyncio.CancelledError from None

    async def _send_json(self, message: dict[str, Any]) -> None:
        await self._send_text(orjson.dumps(message).decode())

    async def _send_text(self, text: str) -> None:
        self._sent_bytes += len(text)
        await self.send(text_data=text)

    @property
    def _outstanding(self) -> int:
        return self._sent_bytes - self._acked_bytes
