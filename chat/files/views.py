"""The API of uploads. docs/protocol.md describes bodies and errors."""

import asyncio
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts import limits, storage
from accounts.client_address import address_group, client_address
from accounts.errors import NotSignedIn
from accounts.guests.visitor import sign_in_guest
from accounts.models import User
from accounts.people import person_json, require_user
from chat.errors import BadRequest
from chat.files import objects, uploads
from chat.files.errors import StorageUnavailable
from chat.files.storage_threads import in_storage_thread
from chat.files.transcribing import orders
from chat.files.uploads import Upload
from chat.models import StoredFile
from chat.uuids import read_uuid
from chat.web.api import api, json_body, require_user_for_change
from chat.web.writers import require_guest, require_writer, take_new_guest, writer_of

logger = logging.getLogger(__name__)

SHA256 = re.compile("[0-9a-f]{64}")
# Parts that one process holds in memory at the same time; the rest wait in temporary files.
PARTS_AT_ONCE = 4
_places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@api("POST")
async def file_list(request: HttpRequest) -> HttpResponse:
    """POST: announce a file. A visitor becomes a guest, as with a first message."""
    body = json_body(request)
    await require_writer(request, body)
    upload = _upload(body)
    writer = await writer_of(request)
    is_repeated = await StoredFile.objects.filter(id=upload.id).aexists()
    if not is_repeated:
        await storage.count_files_for_address(writer, upload.all_bytes)
    begin = sync_to_async(_begin_for_visitor)
    user, row = await begin(request, upload, writer, is_repeated=is_repeated)
    return JsonResponse(uploads.file_state(row) | {"user": person_json(user)})


def _upload(body: dict[str, Any]) -> Upload:
    size, digest = _size_and_digest(body)
    name = uploads.clean_name(body.get("name"))
    upload = Upload(read_uuid(body.get("id"), "id"), name, size, digest)
    wav = body.get("wav")
    if wav is None:
        return upload
    if not isinstance(wav, dict):
        raise BadRequest("“wav” must be an object.")
    wav_size, wav_digest = _size_and_digest(wav)
    return replace(upload, wav_bytes=wav_size, wav_sha256=wav_digest if wav_size else "")


def _size_and_digest(body: dict[str, Any]) -> tuple[int, str]:
    size, digest = body.get("bytes"), body.get("sha256")
    if type(size) is not int or not 0 <= size < 2**31:
        raise BadRequest("“bytes” must be the size of the file.")
    if not isinstance(digest, str) or not SHA256.fullmatch(digest):
        raise BadRequest("“sha256” must be 64 hexadecimal digits in small letters.")
    return size, digest


def _begin_for_visitor(
    request: HttpRequest, upload: Upload, writer: User | None, *, is_repeated: bool
) -> tuple[User, StoredFile]:
    """The row of an upload, and its owner. Sync."""
    if isinstance(request.user, User):
        if not request.user.is_active:
            raise NotSignedIn
        if not is_repeated:
            limits.take_file(request.user, address_group(client_address(request)))
        return request.user, uploads.begin(request.user, upload)
    take_new_guest(request, writer)
    if not is_repeated:
        limits.take_file(writer, address_group(client_address(request)))
    with transaction.atomic():
        guest = require_guest(request)
        row = uploads.begin(guest, upload)
    sign_in_guest(request, guest)
    return guest, row


@api("GET", "DELETE")
async def file(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """GET: the state of an upload. DELETE: erase a file that no message has."""
    if request.method == "DELETE":
        user = await require_user_for_change(request)
        await sync_to_async(uploads.discard)(user, file_id)
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    user = await require_user(request)
    row = await sync_to_async(uploads.own_file)(user, file_id)
    return JsonResponse(uploads.file_state(row))


@api("PUT")
async def part(
    request: HttpRequest, file_id: uuid.UUID, number: int, rendition: str = objects.ORIGINAL
) -> HttpResponse:
    """PUT: one part, as raw bytes. Parts may arrive in any order, and again."""
    user = await require_user(request)
    row = await sync_to_async(uploads.own_file)(user, file_id)
    size = uploads.part_size(row, rendition, number)
    is_new = number not in uploads.parts_of(row, rendition)
    if row.state == StoredFile.State.UPLOADING and is_new:
        async with _place_for_part():
            # One byte more than it may have, which `write_part` notices.
            data = await asyncio.to_thread(request.read, size + 1)
            await in_storage_thread(_in_storage, uploads.write_part, row, rendition, number, data)
        row = await sync_to_async(uploads.note_part)(row, rendition, number)
    return JsonResponse(uploads.file_state(row))


@api("POST")
async def complete(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """POST: all parts have arrived; a worker checks the file."""
    user = await require_user(request)
    row = await sync_to_async(uploads.own_file)(user, file_id)
    row = await sync_to_async(uploads.complete)(row)
    return JsonResponse(uploads.file_state(row), status=HTTPStatus.ACCEPTED)


@api("POST")
async def transcribe(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """POST: try once more to have the speech of a file written down."""
    user = await require_user_for_change(request)
    row = await sync_to_async(uploads.own_file)(user, file_id)
    await sync_to_async(orders.order_again)(row)
    row = await sync_to_async(uploads.own_file)(user, file_id)
    return JsonResponse(uploads.file_state(row), status=HTTPStatus.ACCEPTED)


def _place_for_part() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    return _places.setdefault(loop, asyncio.Semaphore(PARTS_AT_ONCE))


def _in_storage(step: Callable[..., None], *args: Any) -> None:
    """Run a step that uses the storage. Raises StorageUnavailable if it fails."""
    try:
        step(*args)
    except OSError as error:
        logger.exception("the storage of files is unavailable")
        raise StorageUnavailable from error
