"""What the views of the JSON API share."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse

from accounts.errors import AccountsError, MethodNotAllowed, SettingsRefused
from accounts.refusals import refusal_response

View = Callable[..., Awaitable[HttpResponse]]


def api(*methods: str) -> Callable[[View], Any]:
    """Decorate a view of these methods; others raise MethodNotAllowed. An AccountsError becomes a
    response with its status and {"error": {"code", "message", "fields"?}}."""

    def decorate(view: View) -> Any:
        @functools.wraps(view)
        async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                if request.method not in methods:
                    raise MethodNotAllowed(methods)
                return await view(request, *args, **kwargs)
            except AccountsError as error:
                return refusal_response(error)

        return wrapped

    return decorate


def object_in(request: HttpRequest, max_bytes: int) -> dict[str, object]:
    """The JSON object that is the request's body. Raises SettingsRefused."""
    if request.content_type != "application/json":
        raise SettingsRefused(message="Send JSON, with the content type application/json.")
    # Not `request.body`, which trusts Content-Length; chunked requests have none.
    sent = request.read(max_bytes + 1)
    if len(sent) > max_bytes:
        raise SettingsRefused(message="The body is longer than it can be.")
    try:
        body = orjson.loads(sent)
    except orjson.JSONDecodeError as error:
        raise SettingsRefused(message="The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise SettingsRefused(message="The body must be a JSON object.")
    return body
