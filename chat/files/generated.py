"""Keeps the pictures that models make, as files of the chat, before the log names them.

1. a row, in the state `checking`, of the chat: so the bytes are counted, and erased with the chat
2. the original
3. its renditions, made by the process that also reads uploads: a provider's bytes are as hostile
4. the row is ready

A worker may die after any step. With the original, the next worker continues (`continue_keeping`);
without it the picture is lost, and its row is erased. A picture's id comes from its reply, its
attempt and its number, and each attempt belongs to one worker: so a step may be repeated, and two
workers never write different bytes under one key.
"""

import asyncio
import hashlib
import logging
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import User
from chat.files import checking, objects, uploads
from chat.files.errors import FileStorageFull, StorageUnavailable
from chat.files.reading.reader import FileRefused, ReaderBusy, ReadFile, read_file
from chat.models import Chat, StoredFile
from streams.errors import FencedError

logger = logging.getLogger(__name__)

State = StoredFile.State
Facts = dict[str, Any]
MAX_NAME_CHARS = 60
MAX_ALT_CHARS = 200
# How long a picture waits for the process that reads files, and between two tries.
BUSY_LIMIT_S = 90.0
BUSY_PAUSE_S = 0.2
_ENDINGS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a reply. `prompt`: the text that it was made for."""

    id: uuid.UUID
    owner_id: uuid.UUID
    chat_id: uuid.UUID
    prompt: str

    @property
    def alt(self) -> str:
        return " ".join(self.prompt.split())[:MAX_ALT_CHARS]

    def name(self, data: bytes | bytearray) -> str:
        """The start of the prompt, as the name of a file."""
        start = " ".join(self.prompt.replace("/", " ").replace("\\", " ").split())
        start = start[:MAX_NAME_CHARS].strip(". ") or gettext("Picture")
        ending = next((e for mark, e in _ENDINGS.items() if data.startswith(mark)), "png")
        return uploads.clean_name(f"{start}.{ending}")


def picture_id(reply_id: str, attempt: int, number: int) -> uuid.UUID:
    return uuid.uuid5(uuid.UUID(reply_id), f"picture:{attempt}:{number}")


async def keep(
    picture: Picture, data: bytes | bytearray, is_leaving: Callable[[], bool]
) -> Facts | None:
    """Store a picture. Returns its `File`; if it cannot be kept, one with `refused`; None if it is
    left to the next worker, because this one `is_leaving`.

    Raises FencedError if the chat is no longer this owner's, or the picture was erased meanwhile.
    """
    digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    name = picture.name(data)
    row = await sync_to_async(_begin)(picture, name, len(data), digest)
    if row is None:
        return refused_facts(picture, name, FileStorageFull.code)
    if row.state == State.READY:
        return dict(row.facts)
    return await _finish_keeping(picture, row, data, is_leaving)


async def continue_keeping(
    picture: Picture, row: StoredFile, is_leaving: Callable[[], bool]
) -> Facts | None:
    """What `keep` returns, for a picture that another worker began to store; None also if its bytes
    are lost. Raises FencedError."""
    if row.state == State.READY:
        return dict(row.facts)
    data = await asyncio.to_thread(_read_original, row)
    if data is None:
        await sync_to_async(uploads.erase_rows)(Q(id=row.id))
        return None
    return await _finish_keeping(picture, row, data, is_leaving)


def begun_pictures(chat_id: uuid.UUID, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, StoredFile]:
    """The rows of those pictures that a worker has begun to store. Sync."""
    rows = StoredFile.objects.filter(id__in=list(ids), chat=chat_id)
    return {row.id: row for row in rows.exclude(state=State.ERASED)}


def refused_facts(picture: Picture, name: str, code: str) -> Facts:
    """The `File` of a picture that is not kept."""
    return {
        "id": str(picture.id),
        "kind": "image",
        "name": name,
        "alt": picture.alt,
        "refused": code,
    }


async def _finish_keeping(
    picture: Picture, row: StoredFile, data: bytes | bytearray, is_leaving: Callable[[], bool]
) -> Facts | None:
    try:
        changes = await asyncio.to_thread(_store, row, data, picture.alt)
    except FileRefused as error:
        if is_leaving():  # It ends the processes that read files (chat/files/checking.py).
            return None
        return await _refuse(picture, row, f"file_{error.reason}")
    except (StorageUnavailable, ReaderBusy, OSError):
        logger.exception("picture %s could not be stored", row.id)
        return await _refuse(picture, row, StorageUnavailable.code)
    if await sync_to_async(_make_ready)(row, changes):
        return dict(changes["facts"])
    return await _refuse(picture, row, FileStorageFull.code)


async def _refuse(picture: Picture, row: StoredFile, code: str) -> Facts:
    await sync_to_async(uploads.erase_rows)(Q(id=row.id, state=State.CHECKING))
    return refused_facts(picture, row.name, code)


def _begin(picture: Picture, name: str, size: int, digest: str) -> StoredFile | None:
    """The row; None if there is no room for it. Raises FencedError."""
    with transaction.atomic():
        # Locked, as for an upload: files together must not exceed the quota.
        owner = User.objects.select_for_update().filter(id=picture.owner_id).first()
        chat = Chat.objects.select_for_update().filter(id=picture.chat_id, owner=owner).first()
        if owner is None or chat is None:
            raise FencedError(str(picture.id))
        if existing := StoredFile.objects.filter(id=picture.id).first():
            return _usable(existing)
        if not uploads.has_room(owner, size):
            return None
        return StoredFile.objects.create(
            id=picture.id,
            owner=owner,
            chat=chat,
            name=name,
            size_bytes=size,
            sha256=digest,
            stored_bytes=size,
            state=State.CHECKING,
        )


def _usable(row: StoredFile) -> StoredFile:
    if row.state == State.ERASED:
        raise FencedError(str(row.id))
    return row


def _store(row: StoredFile, data: bytes | bytearray, alt: str) -> dict[str, Any]:
    """Store the original and its renditions; returns the changes to the row. Blocks.

    Raises FileRefused, StorageUnavailable, ReaderBusy, OSError.
    """
    with tempfile.TemporaryDirectory(dir=checking.reading_folder()) as folder:
        source, into = Path(folder) / "source", Path(folder) / "renditions"
        into.mkdir()
        source.write_bytes(data)
        _write(row, objects.ORIGINAL, source)
        read = _read(source, row.name, into)
        if read.kind != "image":
            raise FileRefused("kind")
        stored = row.size_bytes
        for rendition, path in read.renditions.items():
            stored += path.stat().st_size
            _write(row, rendition, path)
    facts = checking.facts_of(row, read) | ({"alt": alt} if alt else {})
    return {"state": State.READY, "facts": facts, "stored_bytes": stored}


def _write(row: StoredFile, rendition: str, path: Path) -> None:
    try:
        objects.write_rendition(row.id, rendition, path)
    except Exception as error:  # Each kind of storage has errors of its own.
        raise StorageUnavailable from error


def _read(source: Path, name: str, into: Path) -> ReadFile:
    until = time.monotonic() + BUSY_LIMIT_S
    while True:
        try:
            return read_file(source, name, into)
        except ReaderBusy:
            if time.monotonic() > until:
                raise
            time.sleep(BUSY_PAUSE_S)


def _make_ready(row: StoredFile, changes: dict[str, Any]) -> bool:
    """Whether there is room for the renditions too. Raises FencedError."""
    with transaction.atomic():
        owner = User.objects.select_for_update().filter(id=row.owner_id).first()
        if owner is None:
            raise FencedError(str(row.id))
        if not uploads.has_room(owner, changes["stored_bytes"] - row.stored_bytes):
            return False
        ours = StoredFile.objects.filter(id=row.id, owner=owner)
        begun = ours.filter(state=State.CHECKING)
        if begun.update(changed_at=timezone.now(), **changes):
            return True
        if ours.filter(state=State.READY).exists():  # Another worker has done the same.
            return True
        raise FencedError(str(row.id))


def _read_original(row: StoredFile) -> bytes | None:
    try:
        data = objects.read_rendition(row.id, objects.ORIGINAL)
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == row.sha256 else None
