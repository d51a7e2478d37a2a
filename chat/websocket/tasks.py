"""A WebSocket whose work is done by tasks, which end with it.

Handlers of messages never wait for the database or for Redis: tasks do the slow work. The tasks are
cancelled as soon as the client is gone, for any reason (`_cancel_tasks`). If one of them fails, the
socket is closed (`_guard`).
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError, InterfaceError

from streams.errors import StreamsError
from streams.pipe import REDIS_ERRORS

logger = logging.getLogger(__name__)

# For "service restart" and "internal error": Daphne reserves 1011 and 1012.
CLOSE_TRY_AGAIN = 4503
# Errors that are expected to pass.
TRANSIENT_ERRORS = (StreamsError, DatabaseError, InterfaceError, *REDIS_ERRORS)


class SocketTasks(AsyncWebsocketConsumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Like AsyncConsumer, but cancels the tasks as soon as the socket ends, for any reason."""

        async def receive_or_end() -> Any:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._cancel_tasks()
            return message

        try:
            await super().__call__(scope, receive_or_end, send)
        finally:
            self._cancel_tasks()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Like AsyncConsumer, but without closing old database connections first, which would make
        handlers wait that do not use the database. database_sync_to_async does it for the
        others."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is not None:
            await handler(message)

    def _cancel_tasks(self) -> None:
        """Cancel the tasks: the socket has ended. May be called repeatedly."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(self._guard(work)))

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Close the socket if a task fails: it could otherwise miss entries unnoticed. Its client
        then reconnects and reads again."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except TRANSIENT_ERRORS as error:
            logger.info("closing a socket: %s", error or type(error).__name__)
            await self.close(CLOSE_TRY_AGAIN)
        except Exception:
            logger.exception("a socket task failed")
            await self.close(CLOSE_TRY_AGAIN)
