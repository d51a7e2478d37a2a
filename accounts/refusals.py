"""The base class of all errors that refuse a request, and their JSON."""

from http import HTTPStatus
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext, gettext_noop


class Refusal(Exception):
    """`code` is stable and documented in docs/protocol.md; `message` is a sentence for a person."""

    code = "refused"
    status = HTTPStatus.BAD_REQUEST
    message = gettext_noop("This could not be done.")

    def __init__(self, message: str | None = None) -> None:
        self.message = message or gettext(self.message)
        super().__init__(self.message)

    @property
    def headers(self) -> dict[str, str]:
        """Extra headers of the response."""
        return {}

    @property
    def details(self) -> dict[str, Any]:
        """Fields of the JSON besides code and message."""
        return {}


def error_frame(code: str, message: str, **details: Any) -> dict[str, Any]:
    """The JSON body of every API response that refuses a request."""
    return {"error": {"code": code, "message": message, **details}}


def error_response(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse(error_frame(code, message), status=status)


def refusal_response(error: Refusal) -> JsonResponse:
    frame = error_frame(error.code, error.message, **error.details)
    return JsonResponse(frame, status=error.status, headers=error.headers)
