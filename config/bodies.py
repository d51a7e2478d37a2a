"""How much a request may bring: no more than the largest that its address has a use for.

Django stores a whole body before it asks any view, and Daphne does before it asks Django, whoever
sends it. So the bound is kept twice: config/requests.py drops what is past it as it comes in, and
`BoundedBodies`, for any ASGI server, counts what the header says and what comes, gives the
application an empty body and marks the scope. The answer is then made by
`config.middleware.refuse_large_bodies`, like every other page; a webhook's is made, and noted, by
billing/webhook_view.py.
"""

from typing import Any

from accounts.uploads import MAX_UPLOAD_BYTES
from billing import stripe_webhooks
from chat import api
from config.csp_reports import MAX_REPORT_BYTES

TOO_LARGE = "holdfast.body_too_large"  # In the scope of such a request.
WEBHOOK = "/billing/stripe-webhook"

# Forms, and whatever else the pages and the admin send.
PAGE_BYTES = 1_000_000
# A picture that is a little too large is told so by its own view, next to the field.
PICTURE_BYTES = MAX_UPLOAD_BYTES * 2


def largest_body(path: str) -> int:
    """In bytes."""
    if path in ("/settings", "/api/settings/picture"):
        return PICTURE_BYTES
    if path.startswith("/api/"):
        return api.MAX_BODY_BYTES
    if path == WEBHOOK:
        return stripe_webhooks.MAX_BODY_BYTES
    return MAX_REPORT_BYTES * 2 if path == "/csp-reports" else PAGE_BYTES


class BoundedBodies:
    """ASGI middleware."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        bound = largest_body(scope["path"])
        scope = scope | {TOO_LARGE: _declared(scope["headers"]) > bound}
        taken = 0

        async def bounded() -> Any:
            nonlocal taken
            if scope[TOO_LARGE] and taken <= bound:
                taken = bound + 1
                return _nothing()
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return message
                if taken > bound:
                    continue  # The rest, of which the application knows nothing.
                taken += len(message.get("body", b""))
                if taken <= bound:
                    return message
                scope[TOO_LARGE] = True
                return _nothing()

        await self._application(scope, bounded, send)


def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _declared(headers: list[tuple[bytes, bytes]]) -> int:
    """What Content-Length says; 0 without one. One that is no number is the server's to refuse."""
    said = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(said) if said.isdigit() and len(said) < 20 else 0
