"""Ends a WebSocket and its application together.

Daphne gives an application ten seconds after its socket has closed, and then logs that it was
killed. It leaves a socket open whose application has ended. Here an application gets half a second,
even if it waits for a hanging database or a frozen Redis, and a socket without an application is
closed, so that its client reconnects.
"""

import asyncio
import logging
from typing import Any

from streams.pipe import REDIS_ERRORS

logger = logging.getLogger(__name__)

# How long an application may take to end after its client has disconnected, and once cancelled.
END_S = 0.5
CANCEL_S = 0.3
TRY_AGAIN = 4503


class EndTogether:
    """ASGI middleware for WebSockets."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        serving = asyncio.create_task(self._application(scope, inbox.get, send))
        serving.add_done_callback(_log_failure)
        receiving = asyncio.create_task(_receive_all(receive, inbox))
        try:
            await asyncio.wait({serving, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                await asyncio.wait({serving}, timeout=END_S)
        finally:
            receiving.cancel()
            if not serving.done():
                serving.cancel()
                # An application that does not react to its cancellation is abandoned.
                await asyncio.wait({serving}, timeout=CANCEL_S)
        if not receiving.done() or receiving.cancelled():
            await send({"type": "websocket.close", "code": TRY_AGAIN})


async def _receive_all(receive: Any, inbox: "asyncio.Queue[Any]") -> None:
    """Fills the inbox until the client disconnects, even if the application does not read it."""
    while True:
        message = await receive()
        inbox.put_nowait(message)
        if message["type"] == "websocket.disconnect":
            return


def _log_failure(serving: "asyncio.Task[None]") -> None:
    if serving.cancelled() or (error := serving.exception()) is None:
        return
    if isinstance(error, REDIS_ERRORS):
        logger.warning("a socket ended because Redis is unreachable: %s", error)
    else:
        logger.error("a socket failed", exc_info=error)
