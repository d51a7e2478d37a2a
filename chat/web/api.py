"""Shared parts of the JSON views: authentication, parsing of bodies, error responses."""

import functools
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse

from accounts import limits
from accounts.client_address import address_context
from accounts.errors import MethodNotAllowed
from accounts.models import User
from accounts.people import require_user
from accounts.preferences.store import checked_instructions
from accounts.refusals import Refusal, refusal_response
from chat.errors import BadRequest, LogAway, MessageTooLong
from chat.uuids import read_uuid
from streams.errors import StreamsError

logger = logging.getLogger(__name__)

# A message of the maximum length, with every character escaped, and the other fields.
MAX_BODY_BYTES = 2_000_000

ApiView = Callable[..., Awaitable[HttpResponse]]


def api(*methods: str) -> Callable[[ApiView], Any]:
    """Decorate a view of these methods, to turn a Refusal into its status, code and message.

    Other methods are refused in the same way, with `Allow`.
    """

    def decorate(view: ApiView) -> Any:
        @functools.wraps(view)
        async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                if request.method not in methods:
                    raise MethodNotAllowed(methods)
                with address_context(request):
                    return await view(request, *args, **kwargs)
            except Refusal as error:
                return refusal_response(error)
            except StreamsError:
                logger.exception("the log is unavailable")
                return refusal_response(LogAway())

        return wrapped

    return decorate


async def require_user_for_change(request: HttpRequest) -> User:
    """Like require_user, and counts a change by the user. Raises LimitReached too."""
    user = await require_user(request)
    await sync_to_async(limits.take_change)(user)
    return user


def json_body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of the request. Raises BadRequest or MessageTooLong."""
    if request.content_type != "application/json":
        raise BadRequest("Send JSON, with the content type application/json.")
    # Not `request.body`: it relies on Content-Length, which a chunked request does not have.
    data = request.read(MAX_BODY_BYTES + 1)
    if len(data) > MAX_BODY_BYTES:
        raise MessageTooLong
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest("The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def instructions_field(body: dict[str, Any]) -> str:
    """The instructions for a chat; "" if there are none. Raises BadRequest."""
    try:
        return checked_instructions(body.get("instructions"))
    except ValueError as error:
        raise BadRequest(f"“instructions”: {error}") from error


def text_field(
    body: dict[str, Any], name: str, *, max_chars: int, may_be_empty: bool = False
) -> str:
    """A text that is not blank. Raises BadRequest, or MessageTooLong for the field "text"."""
    value = body.get(name)
    if not isinstance(value, str) or not (value.strip() or may_be_empty):
        raise BadRequest(f"“{name}” must be a text that is not empty.")
    if "\x00" in value:
        raise BadRequest(f"“{name}” must not contain the character NUL.")
    if len(value) > max_chars:
        if name == "text":
            raise MessageTooLong
        raise BadRequest(f"“{name}” must have at most {max_chars} characters.")
    return value


def change_id(request: HttpRequest) -> uuid.UUID | None:
    """The browser's id for a change (?change=), which identifies repetitions; None without one."""
    value = request.GET.get("change")
    return None if value is None else read_uuid(value, "change")
