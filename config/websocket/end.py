"""A WebSocket and the application that serves it end together.

Daphne gives an application ten seconds after its socket has closed, then says that it was killed;
and a socket whose application has ended stays open, with nobody behind it. Here an application has
half a second, whatever it waits for (a database that hangs, a Redis that is frozen), and a socket
that nobody serves any more is closed, so that its client comes back and reads anew.
"""

import asyncio
import logging
from typing import Any

from streams.pipe import REDIS_ERRORS

logger = logging.getLogger(__name__)

# How long an application may take to end by itself once its client is gone, and once cancelled.
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
        serving.add_done_callback(_tell)
        hearing = asyncio.create_task(_hear(receive, inbox))
        try:
            await asyncio.wait({serving, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                await asyncio.wait({serving}, timeout=END_S)
        finally:
            hearing.cancel()
            if not serving.done():
                serving.cancel()
                # What takes no cancellation is left to itself: nobody waits for it.
                await asyncio.wait({serving}, timeout=CANCEL_S)
        if not hearing.done() or hearing.cancelled():
            await send({"type": "websocket.close", "code": TRY_AGAIN})


async def _hear(receive: Any, inbox: "asyncio.Queue[Any]") -> None:
    """Until the client is gone, also while the application does not listen."""
    while True:
        message = await receive()
        inbox.put_nowait(message)
        if message["type"] == "websocket.disconnect":
            return


def _tell(serving: "asyncio.Task[None]") -> None:
    if serving.cancelled() or (error := serving.exception()) is None:
        return
    if isinstance(error, REDIS_ERRORS):
        logger.warning("a socket ends, Redis is away: %s", error)
    else:
        logger.error("a socket failed", exc_info=error)
