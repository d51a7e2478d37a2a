"""How much a request may bring: no more than the largest that its address has a use for.

Django stores a whole body before it asks any view, and Daphne does before it asks Django, whoever
sends it. So the bound is kept twice: config/web/body_limits_daphne.py drops what is past it as it
comes in, and `BoundedBodies`, for any ASGI server, counts what the header says and what comes,
gives the application an empty body and marks the scope. The answer is then made by
`config.web.middleware.refuse_large_bodies`, like every other page; a webhook's is made, and noted,
by billing/payments/webhook_view.py.

A form of many parts costs more than its bytes say: each is some objects and a dozen calls for
Django, though it holds nothing, and Django bounds only those with a name. So the marks between them
are counted here as they come, and too many are too much.
"""

from typing import Any

from django.utils.http import parse_header_parameters

from accounts.preferences.uploads import MAX_UPLOAD_BYTES
from billing.payments import stripe_webhooks
from chat.web import api
from config.web.csp_reports import MAX_REPORT_BYTES

TOO_LARGE = "holdfast.body_too_large"  # In the scope of such a request.
WEBHOOK = "/billing/stripe-webhook"

ADMIN_BYTES = 1_000_000
# Forms: the largest holds what a passkey says of itself, some kilobytes.
FORM_BYTES = 100_000
FORMS = ("/account/", "/settings/", "/billing")
# What has no use for a body: pages, probes, files.
OTHER_BYTES = 1_000
# A picture that is a little too large is told so by its own view, next to the field.
PICTURE_BYTES = MAX_UPLOAD_BYTES * 2

# A form with files may have so many parts. The largest of ours, the settings, has about forty.
MAX_PARTS = 200


def largest_body(path: str) -> int:
    """In bytes."""
    if path in ("/settings", "/api/settings/picture"):
        return PICTURE_BYTES
    if path.startswith("/api/"):
        return api.MAX_BODY_BYTES
    if path == WEBHOOK:
        return stripe_webhooks.MAX_BODY_BYTES
    if path == "/csp-reports":
        return MAX_REPORT_BYTES * 2
    if path.startswith("/admin/"):
        return ADMIN_BYTES
    return FORM_BYTES if path.startswith(FORMS) else OTHER_BYTES


class BoundedBodies:
    """ASGI middleware."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        bound = largest_body(scope["path"])
        scope = scope | {TOO_LARGE: _declared(scope["headers"]) > bound}
        parts = _Parts(scope["headers"])
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
                body = message.get("body", b"")
                taken += len(body)
                if taken <= bound and parts.count(body) <= MAX_PARTS:
                    return message
                taken = bound + 1
                scope[TOO_LARGE] = True
                return _nothing()

        await self._application(scope, bounded, send)


class _Parts:
    """Counts the parts of a form with files, of which the bytes come in pieces."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        said = next((value for name, value in headers if name == b"content-type"), b"")
        kind, fields = parse_header_parameters(said.decode("latin-1"))
        boundary = fields.get("boundary", "") if kind == "multipart/form-data" else ""
        self._mark = b"--" + boundary.encode("latin-1", "replace") if boundary else b""
        self._seen = 0
        self._rest = b""

    def count(self, piece: bytes) -> int:
        """How many have come, with this piece."""
        if self._mark:
            piece = self._rest + piece
            found = piece.count(self._mark)
            self._seen += found
            # A mark may be cut in two; one that was counted is not counted again.
            end = piece.rfind(self._mark) + len(self._mark) if found else 0
            self._rest = piece[max(end, len(piece) - len(self._mark) + 1) :]
        return self._seen


def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _declared(headers: list[tuple[bytes, bytes]]) -> int:
    """What Content-Length says; 0 without one. One that is no number is the server's to refuse."""
    said = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(said) if said.isdigit() and len(said) < 20 else 0
