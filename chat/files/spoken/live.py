"""Serves the sound of an answer while it is spoken, as bare PCM: what is there, then what comes.

Any web process can serve any part of it, because it is read from Redis and, once it is stored, from
the WAV. So a listener goes on after whatever restarts, with the offset that it has reached.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Self

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from accounts.models import User
from chat.files import objects
from chat.files.serving import CHUNK_BYTES, POLICY
from chat.files.spoken.rows import HEADER_BYTES, MAX_SOUND_BYTES
from chat.files.storage_threads import in_storage_thread
from chat.llm.stream.sound_data import RATE
from chat.models import Speech, StoredFile
from streams.log import get_log

# The most listeners of a person in one process, because each has a connection to Redis.
MAX_LISTENERS = 16
_listeners: Counter[uuid.UUID] = Counter()
State = StoredFile.State


@require_safe
async def live(request: HttpRequest, file_id: uuid.UUID) -> HttpResponseBase:
    """`?from=<byte>`: 16-bit samples, little-endian, one channel, RATE a second. 404 for all that
    is not a spoken answer of the person who requests it."""
    user = await request.auser()
    if not isinstance(user, User) or not user.is_active:
        raise Http404
    row = await sync_to_async(_own)(user, file_id)
    if row is None:
        raise Http404
    asked = request.GET.get("from", "0")
    if not asked.isascii() or not asked.isdecimal() or int(asked[:12]) > MAX_SOUND_BYTES:
        return HttpResponse("“from” must be a number of bytes.", status=HTTPStatus.BAD_REQUEST)
    if request.method == "HEAD":
        return _described(HttpResponse(b""))
    if _listeners[user.id] >= MAX_LISTENERS:
        return HttpResponse(
            "Too many sounds are being heard at once. Stop one, then try again.",
            status=HTTPStatus.TOO_MANY_REQUESTS,
        )
    return _described(StreamingHttpResponse(_Listening(user.id, row, int(asked))))


def _own(user: User, file_id: uuid.UUID) -> StoredFile | None:
    spoken = StoredFile.objects.filter(id=file_id, owner=user, speech__estimated=True)
    return spoken.filter(state__in=(State.CHECKING, State.READY)).select_related("speech").first()


def _described(response: HttpResponseBase) -> HttpResponseBase:
    response["Content-Type"] = f"audio/pcm;rate={RATE}"
    response["Cache-Control"] = "no-store"
    response["Content-Security-Policy"] = POLICY
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["X-Content-Type-Options"] = "nosniff"
    return response


class _Listening:
    """The sound from this offset on, for one listener, who is counted until Django closes it with
    the response. It reads when somebody takes what it has."""

    def __init__(self, person: uuid.UUID, row: StoredFile, position: int) -> None:
        self._person: uuid.UUID | None = person
        self._pieces = _heard(row, position)
        self._closing: asyncio.Task[None] | None = None
        _listeners[person] += 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    def close(self) -> None:
        person, self._person = self._person, None
        if person is None:
            return
        _listeners[person] -= 1
        if not _listeners[person]:
            del _listeners[person]
        with suppress(RuntimeError):  # Without a loop, nothing is open any more.
            self._closing = asyncio.get_running_loop().create_task(self._pieces.aclose())


async def _heard(row: StoredFile, position: int) -> AsyncGenerator[bytes, None]:
    """The sound from this offset to its end."""
    # It is looked up again: the chat of a guest moves to their account, and the WAV is stored.
    while (now := await sync_to_async(_again)(row.id)) is not None:
        if now.state == State.READY:
            async for piece in _stored(now, position):
                yield piece
            return
        if now.speech.state != Speech.State.LIVE:
            return
        sounds = get_log().sounds
        async with aclosing(sounds.follow(now.owner.stream, str(row.id), position)) as pieces:
            async for piece in pieces:
                if not piece:
                    break
                position += len(piece)
                yield piece
            else:
                return


def _again(file_id: uuid.UUID) -> StoredFile | None:
    rows = StoredFile.objects.filter(id=file_id, speech__estimated=True)
    rows = rows.filter(state__in=(State.CHECKING, State.READY))
    return rows.select_related("speech", "owner").first()


async def _stored(row: StoredFile, position: int) -> AsyncGenerator[bytes, None]:
    first = HEADER_BYTES + position
    if first >= row.size_bytes:
        return
    file = await in_storage_thread(objects.open_rendition, row.id, objects.ORIGINAL, first)
    try:
        while chunk := await in_storage_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        await in_storage_thread(file.close)
