"""The largest request body for each path, in bytes, and the middleware that enforces it.

Daphne stores a whole body before it calls Django, and Django stores it before it calls a view. The
bound is therefore enforced twice: config/web/body_limits_daphne.py drops the bytes past it as they
arrive, and `BoundedBodies`, for any ASGI server, checks Content-Length and counts the bytes that
arrive. A body past the bound reaches the application empty, and the scope is marked.
`config.web.middleware.refuse_large_bodies` then answers; a refused webhook call is recorded by
billing/payments/webhook_view.py.

A multipart form costs more than its bytes: Django makes several objects and a dozen calls for each
part, even an empty one, and bounds only the parts that have a name. The boundaries are therefore
counted here as they arrive, and a form with too many is refused.
"""

from typing import Any

from django.utils.http import parse_header_parameters

from accounts.preferences.uploads import MAX_UPLOAD_BYTES
from billing.payments import stripe_webhooks
from chat.files.uploads import PART_BYTES
from chat.web import api
from config.web.csp_reports import MAX_REPORT_BYTES

TOO_LARGE = "holdfast.body_too_large"  # In the scope of such a request.
WEBHOOK = "/billing/stripe-webhook"

ADMIN_BYTES = 1_000_000
# Forms: the largest holds a passkey's attestation, some kilobytes.
FORM_BYTES = 100_000
FORMS = ("/account/", "/settings/", "/billing")
# Addresses that take no body: pages, probes, files.
OTHER_BYTES = 1_000
# Above the bound of the view itself, so that the view can refuse a picture next to the field.
PICTURE_BYTES = MAX_UPLOAD_BYTES * 2

# The most parts of a multipart form. The settings, our largest form, have about forty.
MAX_PARTS = 200


def largest_body(path: str) -> int:
    """The bound for this path, in bytes."""
    if path in ("/settings", "/api/settings/picture"):
        return PICTURE_BYTES
    if path.startswith("/api/files/") and "/parts/" in path:
        return PART_BYTES + 1  # So that the view can refuse a part of another size.
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
                return _empty_body()
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return message
                if taken > bound:
                    continue  # The application believes that the body has ended.
                body = message.get("body", b"")
                taken += len(body)
                if taken <= bound and parts.count(body) <= MAX_PARTS:
                    return message
                taken = bound + 1
                scope[TOO_LARGE] = True
                return _empty_body()

        await self._application(scope, bounded, send)


class _Parts:
    """Counts the parts of a multipart form whose bytes arrive in pieces."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        value = next((value for name, value in headers if name == b"content-type"), b"")
        kind, fields = parse_header_parameters(value.decode("latin-1"))
        boundary = fields.get("boundary", "") if kind == "multipart/form-data" else ""
        self._boundary = b"--" + boundary.encode("latin-1", "replace") if boundary else b""
        self._seen = 0
        self._rest = b""

    def count(self, piece: bytes) -> int:
        """The number of parts so far, `piece` included."""
        if self._boundary:
            piece = self._rest + piece
            count = piece.count(self._boundary)
            self._seen += count
            # A boundary may be split between two pieces. None is counted twice.
            end = piece.rfind(self._boundary) + len(self._boundary) if count else 0
            self._rest = piece[max(end, len(piece) - len(self._boundary) + 1) :]
        return self._seen


def _empty_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _declared(headers: list[tuple[bytes, bytes]]) -> int:
    """Content-Length in bytes; 0 without one. The server refuses a value that is not a number."""
    value = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(value) if value.isdigit() and len(value) < 20 else 0
