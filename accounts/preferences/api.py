"""The JSON API of the settings; docs/protocol.md describes it."""

import asyncio

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts import limits
from accounts.errors import PictureMissing, PictureTooLarge
from accounts.models import User
from accounts.people import require_person, require_user
from accounts.preferences import store as preferences
from accounts.preferences.json_api import api, object_in
from accounts.preferences.uploads import is_too_large

# Enough for the longest settings with every character escaped.
MAX_BODY_BYTES = 64_000


@api("GET", "PATCH")
async def settings_view(request: HttpRequest) -> HttpResponse:
    """GET returns all settings. PATCH sets the ones in the body, all or none of them."""
    person = await require_user(request)
    if request.method == "PATCH":
        require_person(person, request.GET.get("person"))
        wanted = object_in(request, MAX_BODY_BYTES)
        await sync_to_async(limits.take_change)(person)
        person = await sync_to_async(preferences.change)(person, wanted)
    return await _settings_response(person)


@api("POST", "DELETE")
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
