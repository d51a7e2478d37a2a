"""A WebSocket whose work is done by tasks, which end with it.

Whatever the socket is told, nothing waits for the database or for Redis while it is taken: what
takes time is done by tasks. They end at once when the client goes (`_ended`), however that comes;
and when one of them cannot go on, the socket is closed (`_guard`).
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError, InterfaceError

from streams.errors import StreamsError
from streams.pipe import AWAY as REDIS_AWAY

logger = logging.getLogger(__name__)

# Our own for "service restart" and "internal error": Daphne keeps 1011 and 1012 to itself.
CLOSE_TRY_AGAIN = 4503
# What passes, and is no fault of ours.
AWAY = (StreamsError, DatabaseError, InterfaceError, *REDIS_AWAY)


class SocketTasks(AsyncWebsocketConsumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As channels has it, but the end is noticed at once, and however it comes."""

        async def heard() -> Any:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._ended()
            return message

        try:
            await super().__call__(scope, heard, send)
        finally:
            self._ended()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without looking at the thread's connection to the database first, as channels does: what
        asks the database sees to it, and what does not need not wait for it."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is not None:
            await handler(message)

    def _ended(self) -> None:
        """The client is gone, or nobody serves it any more. Twice does no harm."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(self._guard(work)))

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """A socket whose task failed could stay behind its log unnoticed: it is closed, so that
        its client comes back and reads anew."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except AWAY as error:
            logger.info("a socket is closed: %s", error or type(error).__name__)
            await self.close(CLOSE_TRY_AGAIN)
        except Exception:
            logger.exception("socket failed")
            await self.close(CLOSE_TRY_AGAIN)
