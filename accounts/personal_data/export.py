"""Exports: all data of one person in one archive, made by a worker.

The row holds the progress. A worker claims the row by a conditional update that raises `attempt`,
and keeps it by renewing its lease; a worker that died or was paused loses it to the next one. Each
attempt has its own file name, so that the files of a killed worker can be found and removed.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts import mail, personal_data_registry, sockets
from accounts.models import Export, User
from accounts.personal_data.archive import Archive

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_EVERY_S = 5.0
# Attempts that were interrupted by a deployment count too.
MAX_ATTEMPTS = 12
BATCH = 20
FOLDER = "exports"
# Files without a row are removed at this age; the row of a newer file may still be written.
STRAY_AFTER = timedelta(hours=1)


class ClaimLost(Exception):
    """The row is gone, or another worker has claimed it."""


# Asking


def ask(person: User) -> Export:
    """Order an export, or return the one that is being made. Sync."""
    existing = Export.objects.filter(person=person).first()
    if existing is not None and existing.state in (Export.State.WAITING, Export.State.BUILDING):
        return existing
    if existing is not None:
        remove(existing)
    try:
        with transaction.atomic():
            export = Export.objects.create(person=person)
    except IntegrityError:  # Two requests at once.
        return Export.objects.get(person=person)
    sockets.wake_workers("export")
    return export


def ready_export(person: User) -> Export | None:
    """The export that can be downloaded now. Sync."""
    return Export.objects.filter(
        person=person, state=Export.State.READY, expires_at__gt=timezone.now()
    ).first()


def remove(export: Export) -> None:
    """Remove an export: first its files, because a row without files is found again, but not the
    reverse. Sync."""
    remove_files(export)
    Export.objects.filter(id=export.id).delete()


def remove_files(export: Export) -> None:
    """Remove the files of all attempts. Sync."""
    for attempt in range(1, export.attempt + 1):
        default_storage.delete(export.file_name(attempt))


# Making


async def make_next() -> bool:
    """Make the export that has waited longest. False if none is waiting."""
    export = await sync_to_async(_claim)()
    if export is None:
        return False
    building = asyncio.create_task(_build(export))
    renewing = asyncio.create_task(_renew_lease(export))
    try:
        await asyncio.wait({building, renewing}, return_when=asyncio.FIRST_COMPLETED)
        if not building.done():
            building.cancel()
        await building
    except ClaimLost:
        logger.info("export %s was taken over or is no longer wanted", export.id)
    except asyncio.CancelledError:
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
        if renewing.done():
            return True
        await asyncio.shield(sync_to_async(_give_back)(export))
        raise
    except Exception:
        logger.exception("export %s could not be made", export.id)
        await sync_to_async(_note_failure)(export)
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
    return True


async def _build(export: Export) -> None:
    person = await User.objects.aget(id=export.person_id)
    await sync_to_async(remove_files)(export)
    total = 0
    for personal_data in personal_data_registry.registered():
        if personal_data.export_parts is not None:
            total += await personal_data.export_parts(person)
    await sync_to_async(_note_progress)(export, total=total)
    async with Archive(f"holdfast-{timezone.now():%Y-%m-%d}") as archive:
        for personal_data in personal_data_registry.registered():
            if personal_data.export is None:
                continue
            async for file in personal_data.export(person):
                await archive.add(file.path, file.chunks)
                if file.parts:
                    await sync_to_async(_note_progress)(export, parts=file.parts)
        size = await asyncio.to_thread(archive.finish)
        await sync_to_async(_note_progress)(export)  # Nothing is stored for erased people.
        saved = await asyncio.to_thread(
            default_storage.save, export.file_name(), File(archive.file)
        )
    if saved != export.file_name() or not await sync_to_async(_finish)(export, size):
        await asyncio.to_thread(default_storage.delete, saved)
        raise ClaimLost


async def _renew_lease(export: Export) -> None:
    """Renew the lease until it is lost."""
    with suppress(ClaimLost):
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await sync_to_async(_note_progress)(export)


def _claim() -> Export | None:
    now = timezone.now()
    open_rows = Export.objects.filter(person__is_active=True, person__deletion_due_at=None).filter(
        Q(state=Export.State.WAITING) | Q(state=Export.State.BUILDING, lease_until__lt=now)
    )
    for row in open_rows.order_by("created_at")[:BATCH]:
        if row.attempt >= MAX_ATTEMPTS:
            _note_failure(row)
            continue
        claimed = open_rows.filter(id=row.id, attempt=row.attempt).update(
            state=Export.State.BUILDING, attempt=F("attempt") + 1, lease_until=now + LEASE, done=0
        )
        if claimed:
            row.attempt += 1
            return row
    return None


def _claimed(export: Export) -> QuerySet[Export]:
    return Export.objects.filter(id=export.id, attempt=export.attempt, state=Export.State.BUILDING)


def _note_progress(export: Export, *, parts: int = 0, total: int | None = None) -> None:
    """Note the progress and renew the lease. Raises ClaimLost."""
    changes = {"lease_until": timezone.now() + LEASE, "done": F("done") + parts}
    if total is not None:
        changes["total"] = total
    if not _claimed(export).update(**changes):
        raise ClaimLost


def _finish(export: Export, size: int) -> bool:
    now = timezone.now()
    return bool(
        _claimed(export).update(
            state=Export.State.READY,
            size_bytes=size,
            done=F("total"),
            ready_at=now,
            expires_at=now + timedelta(days=settings.EXPORT_KEEP_DAYS),
            lease_until=None,
        )
    )


def _give_back(export: Export) -> None:
    """Give the claim back when this worker stops, so that another one starts over at once."""
    remove_files(export)
    _claimed(export).update(state=Export.State.WAITING, lease_until=None, done=0)
    sockets.wake_workers("export")


def _note_failure(export: Export) -> None:
    remove_files(export)
    if export.attempt >= MAX_ATTEMPTS:
        Export.objects.filter(id=export.id, attempt=export.attempt).update(
            state=Export.State.FAILED, lease_until=None
        )
    # Otherwise the lease expires, and a worker tries again.


# Afterwards


def notify_ready() -> None:
    """Mail everybody whose export is ready, once. Sync."""
    unsent = Export.objects.filter(state=Export.State.READY, told_at=None).select_related("person")
    for export in unsent.order_by("ready_at")[:BATCH]:
        if Export.objects.filter(id=export.id, told_at=None).update(told_at=timezone.now()):
            path = reverse("accounts:data")
            mail.send(
                export.person,
                "account/email/export_ready",
                {"url": mail.address_of(path), "days": settings.EXPORT_KEEP_DAYS},
            )


def remove_old() -> None:
    """Remove expired exports. Sync."""
    for export in Export.objects.filter(expires_at__lte=timezone.now())[:BATCH]:
        remove(export)


def remove_strays() -> None:
    """Remove files of erased people that a worker left when it was killed after storing. Sync."""
    try:
        _, names = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return
    for name in names:
        path = f"{FOLDER}/{name}"
        with suppress(FileNotFoundError):
            if default_storage.get_modified_time(path) > timezone.now() - STRAY_AFTER:
                continue
            known = Export.objects.filter(id__in=[_id_in(name)]) if _id_in(name) else None
            if known is None or not known.exists():
                default_storage.delete(path)


def _id_in(name: str) -> str | None:
    stem = name.partition("-")[0]
    return stem if len(stem) == 32 and set(stem) <= set("0123456789abcdef") else None
