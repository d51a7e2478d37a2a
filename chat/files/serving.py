"""Serves the bytes of files, to their owner only, and so that no browser executes them."""

import base64
import logging
import re
import uuid
from http import HTTPStatus
from typing import IO, Self

from asgiref.sync import sync_to_async
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.personal_data.file_names import safe_name
from chat.files import objects
from chat.files.storage_threads import in_storage_thread
from chat.models import StoredFile

logger = logging.getLogger(__name__)

# Read and sent at a time. A slow reader has at most a few of them waiting.
CHUNK_BYTES = 64_000
# The content of an id never changes.
CACHE_CONTROL = "private, max-age=31536000, immutable"
# Scripts, forms and requests of a document are turned off, even if somebody opens it as a page.
POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
VIEW, THUMB, WEBP = "view", "thumb", "image/webp"
SERVED = (objects.ORIGINAL, VIEW, objects.WAV)
_RANGE = re.compile(r"bytes=(\d{0,12})-(\d{0,12})")


@require_safe
async def rendition(request: HttpRequest, file_id: uuid.UUID, name: str) -> HttpResponseBase:
    """A rendition of a file of the person who requests it; 404 for anything else."""
    user = await request.auser()
    if name not in (*SERVED, THUMB) or not isinstance(user, User) or not user.is_active:
        raise Http404
    row = await sync_to_async(_own)(user, file_id)
    if row is None:
        raise Http404
    if name == THUMB:
        return _thumb(row)
    try:
        size = await in_storage_thread(objects.size_of, file_id, name)
    except FileNotFoundError as error:
        raise Http404 from error
    except OSError:
        logger.exception("file %s cannot be read", file_id)
        return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE)
    first, last = _range(request.headers.get("Range", ""), size)
    if first > last or request.method == "HEAD":
        response: HttpResponseBase = HttpResponse(b"", status=200 if first <= last else 416)
    else:
        response = StreamingHttpResponse(_Chunks(file_id, name, first, last + 1 - first))
    if first > last:
        response["Content-Range"] = f"bytes */{size}"
        return response
    if (first, last + 1) != (0, size):
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    _describe(response, row, name)
    response["Content-Length"] = str(last + 1 - first)
    return response


def _thumb(row: StoredFile) -> HttpResponse:
    """The thumb, which the row has: no storage is asked for the many that a chat may show."""
    _, _, encoded = row.facts.get("thumb", "").partition("base64,")
    if not encoded:
        raise Http404
    response = HttpResponse(base64.b64decode(encoded))
    _describe(response, row, THUMB)
    del response["Accept-Ranges"]
    return response


def _describe(response: HttpResponseBase, row: StoredFile, name: str) -> None:
    webp = (WEBP, ".webp")
    types = {VIEW: webp, THUMB: webp, objects.WAV: ("audio/wav", ".wav")}
    content_type, ending = types.get(name, (row.facts["type"], ""))
    is_inline = name in (VIEW, THUMB) or content_type.startswith("audio/")
    named = safe_name(row.name, "file") + ending
    response["Content-Type"] = content_type
    response["Content-Disposition"] = (
        content_disposition_header(not is_inline, named) or "attachment"
    )
    response["Cache-Control"] = CACHE_CONTROL
    response["Accept-Ranges"] = "bytes"
    response["Content-Security-Policy"] = POLICY
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["X-Content-Type-Options"] = "nosniff"


def _own(user: User, file_id: uuid.UUID) -> StoredFile | None:
    ready = StoredFile.objects.filter(id=file_id, owner=user, state=StoredFile.State.READY)
    return ready.first()


def _range(header: str, size: int) -> tuple[int, int]:
    """The first and last byte to send. First > last: nothing in the range. More than one range, or
    another unit, is ignored, as HTTP allows."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return 0, size - 1
    first, last = match.groups()
    if not first:  # the last `last` bytes
        return (max(size - int(last), 0), size - 1) if int(last) else (1, 0)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < int(first):
        return 0, size - 1  # not a valid range
    return int(first), end


class _Chunks:
    """The bytes of a rendition from `first` on, `size` of them. It opens the file when somebody
    reads. Django closes it with the response."""

    def __init__(self, file_id: uuid.UUID, name: str, first: int, size: int) -> None:
        self._source = file_id, name, first, size
        self._rest = size
        self._file: IO[bytes] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await in_storage_thread(self._read)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self) -> bytes:
        if self._file is None:
            self._file = objects.open_rendition(*self._source)
        chunk = self._file.read(min(CHUNK_BYTES, self._rest))
        self._rest -= len(chunk)
        return chunk
