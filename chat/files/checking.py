"""Checks uploaded files: a worker joins the parts, has them read, and stores what came of it.

A worker claims a row by raising `attempts`, and keeps it by renewing a short lease. One that dies
or is paused loses it to the next one, which does everything again: all objects are written under
the same keys.
"""

import asyncio
import base64
import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.utils import timezone

from chat.files import objects, uploads
from chat.files.reading.reader import FileRefused, ReaderBusy, ReadFile, read_file
from chat.models import StoredFile

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=6)
RENEW_EVERY_S = 1.5
# A file that ends its workers is refused after so many. Handovers at a deployment count too.
MAX_ATTEMPTS = 6
FAILED_PAUSE_S = 5.0
State = StoredFile.State


async def check_all() -> None:
    """Check every file that waits for it, oldest first."""
    while row := await sync_to_async(_claim)():
        if not await _check(row):
            await asyncio.sleep(FAILED_PAUSE_S)


def _claim() -> StoredFile | None:
    """A file to check, which is this worker's until its lease ends."""
    now = timezone.now()
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    waiting = StoredFile.objects.filter(free, chat=None, state=State.CHECKING)
    for row in waiting.order_by("created_at")[:10]:
        ours = StoredFile.objects.filter(free, id=row.id, attempts=row.attempts)
        if not ours.update(attempts=row.attempts + 1, leased_until=now + LEASE):
            continue  # Another worker was quicker.
        row.attempts += 1
        if row.attempts <= MAX_ATTEMPTS:
            return row
        logger.error("checking file %s has failed %d times; refusing it", row.id, MAX_ATTEMPTS)
        _finish(row, state=State.REFUSED, error_code="file_damaged", stored_bytes=0)
    return None


async def _check(row: StoredFile) -> bool:
    """Whether the file was checked; if not, it waits for the next attempt."""
    reading = asyncio.create_task(asyncio.to_thread(_read, row))
    renewing = asyncio.create_task(_renew_lease(row))
    try:
        changes = await reading
        if await sync_to_async(_finish)(row, **changes):
            await asyncio.to_thread(_clean_up, row, changes)
        return True
    except asyncio.CancelledError:
        # The thread may go on for a while: it only writes what the next worker writes again.
        await asyncio.shield(sync_to_async(_give_back)(row))
        raise
    except ReaderBusy:
        await sync_to_async(_give_back)(row)
        return False
    except Exception:
        logger.exception("file %s could not be checked", row.id)
        await sync_to_async(_give_back)(row)
        return False
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


def _read(row: StoredFile) -> dict[str, Any]:
    """Read the file and store its renditions; returns the changes to its row. Blocks."""
    with tempfile.TemporaryDirectory(prefix="holdfast-file-") as folder:
        source, into = Path(folder) / "source", Path(folder) / "renditions"
        into.mkdir()
        arrived = objects.join_parts(row.id, uploads.part_count(row), source)
        if arrived != (row.size_bytes, row.sha256):
            logger.info("file %s did not arrive as it was announced", row.id)
            return _refused("damaged")
        try:
            read = read_file(source, row.name, into)
        except FileRefused as error:
            return _refused(error.reason)
        stored = row.size_bytes
        for rendition, path in read.renditions.items():
            stored += path.stat().st_size
            objects.write_rendition(row.id, rendition, path)
        objects.write_rendition(row.id, objects.ORIGINAL, source)
        return {"state": State.READY, "facts": facts_of(row, read), "stored_bytes": stored}


def _refused(reason: str) -> dict[str, Any]:
    return {"state": State.REFUSED, "error_code": f"file_{reason}", "stored_bytes": 0}


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
        "pages": read.pages,
        "chars": read.chars,
        "cut": read.is_cut or None,
        "thumb": thumb,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _finish(row: StoredFile, **changes: Any) -> bool:
    """Whether the file is still this worker's, and so has changed."""
    ours = StoredFile.objects.filter(id=row.id, attempts=row.attempts, state=State.CHECKING)
    return bool(ours.update(leased_until=None, changed_at=timezone.now(), **changes))


def _clean_up(row: StoredFile, changes: dict[str, Any]) -> None:
    """Remove the objects that are of no use any more. What a crash leaves goes with the file."""
    if changes["state"] == State.REFUSED:
        objects.erase(row.id)
    else:
        objects.erase_parts(row.id, uploads.part_count(row))


async def _renew_lease(row: StoredFile) -> None:
    ours = StoredFile.objects.filter(id=row.id, attempts=row.attempts, state=State.CHECKING)
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        if not await ours.aupdate(leased_until=timezone.now() + LEASE):
            return


def _give_back(row: StoredFile) -> None:
    """Leave the file to the next attempt, of any worker."""
    ours = StoredFile.objects.filter(id=row.id, attempts=row.attempts, state=State.CHECKING)
    ours.update(leased_until=None)
