"""Django's handler, which says how much it keeps of an answer that its client has yet to take."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chat.websocket.flow import FreeFlow, flow_of

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class FlowingHandler(ASGIHandler):
    async def run_get_response(self, request: HttpRequest) -> HttpResponseBase:
        response: Any = await super().run_get_response(request)
        response.flow = flow_of(getattr(request, "scope", {}))
        return response  # type: ignore[no-any-return]

    async def send_response(self, response: Any, send: Send) -> None:
        """A page is kept whole until its last bytes are sent; what streams is made as it goes."""
        kept_bytes = 0 if response.streaming else len(response.content)
        try:
            with getattr(response, "flow", FreeFlow()).hold(kept_bytes):
                await super().send_response(response, send)
        finally:
            # Django's task and its exception hold each other, and the response, until all of the
            # garbage is collected: after a client that left, for long.
            if not response.streaming:
                response.content = b""
