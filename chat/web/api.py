"""The frame of every JSON view: who is asking, what they sent, how a refusal is said."""

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
from accounts.errors import MethodNotAllowed, NotSignedIn
from accounts.models import User
from accounts.preferences.store import checked_instructions
from accounts.refusals import Refusal, refusal_response
from chat.errors import BadRequest, LogAway, MessageTooLong
from chat.uuids import read_uuid
from streams.errors import StreamsError

logger = logging.getLogger(__name__)

# A message of the longest allowed text, escaped at its worst, with the other fields.
MAX_BODY_BYTES = 2_000_000

ApiView = Callable[..., Awaitable[HttpResponse]]


def api(*methods: str) -> Callable[[ApiView], Any]:
    """For a view of these methods: a Refusal is answered with its status, its code and its
    sentence, and so is any other method, with `Allow`."""

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
                logger.exception("the log is away")
                return refusal_response(LogAway())

        return wrapped

    return decorate


async def signed_in(request: HttpRequest) -> User:
    """The account or guest who is asking. Raises NotSignedIn."""
    user = await request.auser()
    if not isinstance(user, User) or not user.is_active:
        raise NotSignedIn
    return user


async def changing(request: HttpRequest) -> User:
    """The same, for a request that changes something of theirs. Raises LimitReached too."""
    user = await signed_in(request)
    await sync_to_async(limits.take_change)(user)
    return user


def json_body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of the request. Raises BadRequest or MessageTooLong."""
    if request.content_type != "application/json":
        raise BadRequest("Send JSON, with the content type application/json.")
    # Not `request.body`: it trusts the header, and a chunked request has none.
    sent = request.read(MAX_BODY_BYTES + 1)
    if len(sent) > MAX_BODY_BYTES:
        raise MessageTooLong
    try:
        body = orjson.loads(sent)
    except orjson.JSONDecodeError as error:
        raise BadRequest("The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def instructions_field(body: dict[str, Any]) -> str:
    """Instructions for a chat, or "" for none. Raises BadRequest."""
    try:
        return checked_instructions(body.get("instructions"))
    except ValueError as error:
        raise BadRequest(f"“instructions”: {error}") from error


def text_field(body: dict[str, Any], name: str, *, max_chars: int) -> str:
    """A text with something in it. Raises BadRequest, or MessageTooLong if it is the message's."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"“{name}” must be a text that is not empty.")
    if "\x00" in value:
        raise BadRequest(f"“{name}” must not contain the character NUL.")
    if len(value) > max_chars:
        if name == "text":
            raise MessageTooLong
        raise BadRequest(f"“{name}” must have at most {max_chars} characters.")
    return value


def change_id(request: HttpRequest) -> uuid.UUID | None:
    """The id that the browser gave a change (?change=), so that repeating it is recognised."""
    given = request.GET.get("change")
    return None if given is None else read_uuid(given, "change")
