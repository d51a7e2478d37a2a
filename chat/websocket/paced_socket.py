"""A socket that sends no faster than its client takes.

A client costs what it reads. What it acknowledges may slow its socket; what bounds it is `_flow`,
which knows how much the network has taken: who has something to send waits for room before they
make it. What cannot wait, for it is said while something is taken in, is left out.
"""

import asyncio
from typing import Any

import orjson

from chat.websocket.session_socket import CLOSE_TOO_SLOW, PersonSocket

# What may be under way to a client that has not acknowledged it; more waits.
WINDOW_BYTES = 4_000_000
WINDOW_TIMEOUT_S = 30.0


class PacedSocket(PersonSocket):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent_bytes = 0
        self._acked_bytes = 0
        self._acked = asyncio.Event()

    def _acknowledge(self, count: int) -> None:
        """The client says that it has read so many bytes in all, if it can be believed."""
        self._acked_bytes = max(self._acked_bytes, min(count, self._sent_bytes))
        self._acked.set()

    async def _answer_ping(self) -> None:
        # Not made to wait like a frame, so whoever asks without reading must be cut off.
        if self._outstanding > 2 * WINDOW_BYTES:
            await self.close(CLOSE_TOO_SLOW)
        elif not self._flow.is_full:
            await self._send_json({"type": "pong"})

    async def _send_frame(self, text: str) -> None:
        """Send, once the client has acknowledged and taken enough of what was sent before."""
        with self._flow.hold(len(text)):
            await self._acknowledgement()
            await self._flow.room()
        await self._send_text(text)

    async def _acknowledgement(self) -> None:
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
