"""Checks uploaded files: a worker joins the parts, has them read, and stores the renditions.

A worker claims a row by raising `attempts`, and keeps it by renewing a short lease. One that dies
or is paused loses it to the next one, which does everything again: all objects are written under
the same keys.
"""

import asyncio
import base64
import logging
import shutil
import tempfile
import time
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Case, Q, When
from django.utils import timezone

from accounts.child_process.run import kill_children
from accounts.models import User
from chat.files import objects, uploads
from chat.files.reading.reader import FileRefused, ReaderBusy, ReadFile, read_file
from chat.files.transcribing import orders
from chat.models import StoredFile

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=6)
RENEW_EVERY_S = 1.5
# After this many attempts, a file whose check keeps killing its worker is refused.
MAX_ATTEMPTS = 6
# An error of the storage or the database says nothing about the file. It is tried again after
# pauses that grow, for a day.
FIRST_PAUSE_S = 2.0
MAX_PAUSE_S = 600.0
MAX_ERRORS = 150
# In the data folder: the files that are being read. A killed worker leaves some behind.
FOLDER = "checking"
LEFTOVER_AFTER_S = 3_600
# How much the length of the WAV may differ from that of the sound.
WAV_APART_MS = 1_000
WAV_APART_PERCENT = 2
State = StoredFile.State
# Whose file this worker has read last: others come first.
_last_owner: uuid.UUID | None = None


async def check_all() -> None:
    """Check every file that waits for it: those of different people in turn, the oldest first."""
    await sync_to_async(clean_up_interrupted)(Q(chat=None))
    has_failed = True
    while has_failed:
        has_failed = False
        while row := await sync_to_async(_claim)():
            has_failed |= not await _check(row)
        if has_failed:  # Longer pauses end with the chore's interval.
            await asyncio.sleep(FIRST_PAUSE_S)


def _claim() -> StoredFile | None:
    """A file to check, which is this worker's until its lease ends."""
    global _last_owner
    now = timezone.now()
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    waiting = StoredFile.objects.filter(free, chat=None, state=State.CHECKING)
    waiting = waiting.select_related("owner")
    is_same = Case(When(owner=_last_owner, then=1), default=0)
    for row in waiting.order_by(is_same, "created_at")[:10]:
        ours = StoredFile.objects.filter(free, id=row.id, attempts=row.attempts)
        if not ours.update(attempts=row.attempts + 1, leased_until=now + LEASE):
            continue  # Another worker was quicker.
        row.attempts += 1
        if row.attempts <= MAX_ATTEMPTS and row.errors <= MAX_ERRORS:
            _last_owner = row.owner_id
            return row
        logger.error("the check of file %s failed too often; refusing it", row.id)
        if made := _finish(row, **_refused("file_damaged")):
            _clean_up(row, made["state"])
    return None


async def _check(row: StoredFile) -> bool:
    """Whether there is a result. If not, another attempt begins after a pause."""
    reading = asyncio.create_task(asyncio.to_thread(_read, row))
    renewing = asyncio.create_task(_renew_lease(row))
    try:
        made = await sync_to_async(_finish)(row, **await reading)
        if made is not None:
            # Without the database: the connection of such a thread would never be given back.
            await asyncio.to_thread(_erase_unneeded, row, made["state"])
            await sync_to_async(_end_lease)(row, made["state"])
        return True
    except asyncio.CancelledError:
        kill_children()  # Otherwise this process could not end before the child.
        await asyncio.shield(sync_to_async(_give_back)(row))
        raise
    except ReaderBusy:
        await sync_to_async(_give_back)(row, pause_s=FIRST_PAUSE_S)
        return False
    except Exception:
        logger.exception("file %s could not be checked", row.id)
        pause_s = min(FIRST_PAUSE_S * 2 ** min(row.errors, 20), MAX_PAUSE_S)
        await sync_to_async(_give_back)(row, pause_s=pause_s, errors=row.errors + 1)
        return False
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


def _read(row: StoredFile) -> dict[str, Any]:
    """Read the file and store its renditions; returns the changes to its row. Blocks."""
    with tempfile.TemporaryDirectory(dir=reading_folder()) as folder:
        source, into = Path(folder) / "source", Path(folder) / "renditions"
        into.mkdir()
        arrived = _join(row, objects.ORIGINAL, source)
        if arrived != (row.size_bytes, row.sha256):
            logger.info("file %s did not arrive as it was announced", row.id)
            return _refused("file_damaged")
        try:
            read = read_file(source, row.name, into)
        except FileRefused as error:
            return _refused(f"file_{error.reason}")
        stored = row.size_bytes + _store_wav(row, read, Path(folder))
        for rendition, path in read.renditions.items():
            stored += path.stat().st_size
            objects.write_rendition(row.id, rendition, path)
        objects.write_rendition(row.id, objects.ORIGINAL, source)
        return {"state": State.READY, "facts": facts_of(row, read), "stored_bytes": stored}


def _join(row: StoredFile, rendition: str, target: Path) -> tuple[int, str]:
    return objects.join_parts(row.id, rendition, uploads.part_count(row, rendition), target)


def _store_wav(row: StoredFile, read: ReadFile, folder: Path) -> int:
    """Store the WAV that came with the sound; returns its bytes. It is dropped unless it is what
    it should be: the same sound as 16 kHz mono 16-bit."""
    if not row.wav_bytes or read.duration_ms is None:
        return 0
    wav, into = folder / "wav", folder / "nothing"
    into.mkdir()
    if _join(row, objects.WAV, wav) != (row.wav_bytes, row.wav_sha256):
        return 0
    try:
        found = read_file(wav, "", into)
    except FileRefused:
        return 0
    most_apart = max(WAV_APART_MS, read.duration_ms * WAV_APART_PERCENT // 100)
    if not found.is_plain_wav or found.duration_ms is None:
        return 0
    if abs(found.duration_ms - read.duration_ms) > most_apart:
        return 0
    objects.write_rendition(row.id, objects.WAV, wav)
    return row.wav_bytes


def reading_folder() -> Path:
    """Where files lie while they are read."""
    folder: Path = settings.DATA_DIR / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def remove_leftovers() -> None:
    """Remove what killed workers have left of files that they were reading. Sync."""
    before = time.time() - LEFTOVER_AFTER_S
    for path in reading_folder().iterdir():
        if path.stat().st_mtime < before:
            shutil.rmtree(path, ignore_errors=True)


def _refused(code: str) -> dict[str, Any]:
    return {"state": State.REFUSED, "error_code": code, "stored_bytes": 0}


def facts_of(row: StoredFile, read: ReadFile) -> dict[str, Any]:
    """The `File` of docs/protocol.md."""
    thumb = None
    if read.thumb is not None:
        thumb = "data:image/webp;base64," + base64.b64encode(read.thumb).decode()
    facts = {
        "id": str(row.id),
        "kind": read.kind,
        "name": row.name,
        "type": read.type,
        "bytes": row.size_bytes,
        "sha256": row.sha256,
        "width": read.width,
        "height": read.height,
        "duration_ms": read.duration_ms,
        "pages": read.pages,
        "chars": read.chars,
        "cut": read.is_cut or None,
        "thumb": thumb,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _finish(row: StoredFile, **changes: Any) -> dict[str, Any] | None:
    """The changes as they were made; None if the file is no longer this worker's.

    Renditions may be larger than the file. If they do not fit the quota, the file is refused.
    """
    is_sound = changes.get("facts", {}).get("kind") == "audio"
    transcription = orders.wanted(row.owner) if is_sound else None
    with transaction.atomic():
        owner = User.objects.select_for_update().filter(id=row.owner_id).first()
        if owner is None:
            return None
        more = changes["stored_bytes"] - row.stored_bytes
        if more > 0 and not uploads.has_room(owner, more):
            changes = _refused("storage_full")
        ours = StoredFile.objects.filter(id=row.id, attempts=row.attempts, state=State.CHECKING)
        now = timezone.now()
        # The lease ends when no part is left.
        is_ours = ours.update(leased_until=now + LEASE, changed_at=now, **changes)
        if is_ours and transcription is not None and changes["state"] == State.READY:
            orders.order(row.id, transcription)
        return changes if is_ours else None


def _clean_up(row: StoredFile, state: str) -> None:
    _erase_unneeded(row, state)
    _end_lease(row, state)


def _erase_unneeded(row: StoredFile, state: str) -> None:
    if state == State.REFUSED:
        objects.erase(row.id)
    else:
        objects.erase_parts(row.id)


def _end_lease(row: StoredFile, state: str) -> None:
    StoredFile.objects.filter(id=row.id, state=state).update(leased_until=None)


def clean_up_interrupted(which: Q) -> None:
    """Clean up for workers that died, or had no storage, after they had a result. Sync.

    Only files without a message have an index; the hourly sweep looks at all."""
    done = Q(state__in=[State.READY, State.REFUSED], leased_until__lt=timezone.now())
    for row in StoredFile.objects.filter(which, done):
        try:
            _clean_up(row, row.state)
        except OSError:
            logger.exception("parts of file %s are left; trying again later", row.id)


async def _renew_lease(row: StoredFile) -> None:
    ours = StoredFile.objects.filter(id=row.id, attempts=row.attempts, state=State.CHECKING)
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        with suppress(DatabaseError):  # The next one may succeed.
            if not await ours.aupdate(leased_until=timezone.now() + LEASE):
                return


def _give_back(row: StoredFile, *, pause_s: float = 0.0, errors: int | None = None) -> None:
    """Leave the file to the next attempt, of any worker. This one does not count, because it has
    not ended its worker."""
    ours = StoredFile.objects.filter(id=row.id, attempts=row.attempts, state=State.CHECKING)
    ours.update(
        leased_until=timezone.now() + timedelta(seconds=pause_s) if pause_s else None,
        attempts=row.attempts - 1,
        errors=row.errors if errors is None else errors,
    )
