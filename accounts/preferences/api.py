"""The JSON API of the settings; docs/protocol.md describes it."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts import limits
from accounts.errors import (
    AccountsError,
    MethodNotAllowed,
    PictureMissing,
    PictureTooLarge,
    SettingsRefused,
)
from accounts.models import User
from accounts.people import require_person, require_user
from accounts.preferences import store as preferences
from accounts.preferences.uploads import is_too_large
from accounts.refusals import refusal_response

# Enough for the longest settings with every character escaped.
MAX_BODY_BYTES = 64_000

View = Callable[..., Awaitable[HttpResponse]]


def _api(*methods: str) -> Callable[[View], Any]:
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


@_api("GET", "PATCH")
async def settings_view(request: HttpRequest) -> HttpResponse:
    """GET returns all settings. PATCH sets the ones in the body, all or none of them."""
    person = await require_user(request)
    if request.method == "PATCH":
        require_person(person, request.GET.get("person"))
        wanted = _body(request)
        await sync_to_async(limits.take_change)(person)
        person = await sync_to_async(preferences.change)(person, wanted)
    return await _settings_response(person)


@_api("POST", "DELETE")
async def picture(request: HttpRequest) -> HttpResponse:
    """POST sets the picture to the file `picture` of a multipart form. DELETE removes it."""
    person = await require_user(request)
    require_person(person, request.GET.get("person"))
    if request.method == "DELETE":
        person = await sync_to_async(preferences.change_picture)(person, None)
    else:
        person = await take_picture(request, person)
    return await _settings_response(person)


async def take_picture(request: HttpRequest, person: User) -> User:
    """Set the uploaded file as the picture. Raises PictureRefused and LimitReached."""
    if is_too_large(request):
        raise PictureTooLarge
    sent = request.FILES.get("picture")
    if sent is None:
        raise PictureMissing
    await sync_to_async(limits.take_upload)(person)
    from accounts.preferences.pictures import read_picture

    read = await asyncio.to_thread(read_picture, sent.read())
    return await sync_to_async(preferences.change_picture)(person, read)


async def _settings_response(person: User) -> JsonResponse:
    row = await sync_to_async(preferences.preferences_of)(person)
    return JsonResponse({"settings": preferences.settings_json(person, row)})


def _body(request: HttpRequest) -> dict[str, object]:
    if request.content_type != "application/json":
        raise SettingsRefused(message="Send JSON, with the content type application/json.")
    # Not `request.body`, which trusts Content-Length; chunked requests have none.
    sent = request.read(MAX_BODY_BYTES + 1)
    if len(sent) > MAX_BODY_BYTES:
        raise SettingsRefused(message="The body is longer than any settings can be.")
    try:
        body = orjson.loads(sent)
    except orjson.JSONDecodeError as error:
        raise SettingsRefused(message="The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise SettingsRefused(message="The body must be a JSON object.")
    return body
