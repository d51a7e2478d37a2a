"""The frame of every JSON view: who is asking, what they sent, how a refusal is said."""

import functools
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.errors import AccountsError
from accounts.models import User
from accounts.preferences import checked_instructions
from billing.errors import BillingError
from chat.errors import BadRequest, ChatError, LogAway, MessageTooLong, NotSignedIn
from streams.errors import StreamsError

logger = logging.getLogger(__name__)

# A message of the longest allowed text, escaped at its worst, with the other fields.
MAX_BODY_BYTES = 2_000_000

ApiView = Callable[..., Awaitable[HttpResponse]]


def api(view: ApiView) -> Any:
    """Answer a refusal of chat, accounts or billing with its status and its code and sentence."""

    @functools.wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return await view(request, *args, **kwargs)
        except (ChatError, AccountsError, BillingError) as error:
            return refusal(error)
        except StreamsError:
            logger.exception("the log is away")
            return refusal(LogAway())

    return wrapped


def refusal(error: ChatError | AccountsError | BillingError) -> JsonResponse:
    return JsonResponse(
        {"error": {"code": error.code, "message": error.message}},
        status=error.status,
        headers=error.headers if isinstance(error, AccountsError) else None,
    )


async def signed_in(request: HttpRequest) -> User:
    """The account or guest who is asking. Raises NotSignedIn."""
    user = await request.auser()
    if not isinstance(user, User) or not user.is_active:
        raise NotSignedIn
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
    if given is None:
        return None
    with suppress(ValueError):
        if str(found := uuid.UUID(given)) == given:
            return found
    raise BadRequest("“change” must be a UUID in lower case.")
