"""Django's ASGI handler; it counts the bytes of a response that the client has not read yet, and
lends each request a thread for the database.

No ended request waits for the garbage collector, which frees Django's own requests: each is in a
reference cycle with 240 objects, and a collection of thousands held the event loop for 190 ms.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chat.websocket.flow import FreeFlow, flow_of
from config.web.database_threads import DatabaseThreads

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class FreedRequest(ASGIRequest):
    def close(self) -> None:
        """Called with the response's `close`; nobody reads the request afterwards. Its user and
        messages refer to it, and a template's context, which refers to itself, does too."""
        super().close()
        self.__dict__.clear()


class FlowingHandler(ASGIHandler):
    request_class = FreedRequest

    def __init__(self) -> None:
        super().__init__()
        self._threads = DatabaseThreads()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        with self._threads.borrow():
            await super().__call__(scope, receive, send)

    async def listen_for_disconnect(self, receive: Receive) -> None:
        """Return where Django raises. Its `handle` ignores the exception, whose traceback refers to
        the frame of `handle`, which refers to the task with the exception."""
        with contextlib.suppress(RequestAborted):
            await super().listen_for_disconnect(receive)

    async def run_get_response(self, request: HttpRequest) -> HttpResponseBase:
        response: Any = await super().run_get_response(request)
        response.flow = flow_of(getattr(request, "scope", {}))
        return response  # type: ignore[no-any-return]

    async def send_response(self, response: Any, send: Send) -> None:
        """Count a page until its last bytes are sent, because it stays in memory until then. The
        bytes of a streaming response are not kept."""
        kept_bytes = 0 if response.streaming else len(response.content)
        try:
            with getattr(response, "flow", FreeFlow()).hold(kept_bytes):
                await super().send_response(response, send)
        finally:
            # After a client has disconnected, Django's task and its exception refer to each other
            # and to the response, which would stay in memory until the garbage collector runs.
            if not response.streaming:
                response.content = b""
