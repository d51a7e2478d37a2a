"""Removes the bytes of files that no longer belong to anybody: objects first, then rows.

A crash in between leaves a row, which the next run finds. Objects without a row, which a late
request or a paused worker may leave, are removed after a day.
"""

import logging
import uuid
from datetime import timedelta
from itertools import islice

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from chat import events as ev
from chat.files import objects, uploads
from chat.models import Chat, Reply, StoredFile
from chat.search import indexer
from streams.log import get_log

logger = logging.getLogger(__name__)

# How long a file without a message is kept for the draft that it was attached to.
UNATTACHED_FOR = timedelta(days=1)
BATCH = 50
STRAYS_AT_ONCE = 500
State = StoredFile.State


async def erase_marked() -> None:
    """Remove the files that are marked as erased. Their chats are told first: the log drops an
    event that it has. Search then reads these chats again, without the texts of the files."""
    marked = Q(chat=None, state=State.ERASED)
    told = StoredFile.objects.filter(marked, erased_from__isnull=False).select_related("owner")
    forgotten = 0
    for row in [row async for row in told]:
        if await Reply.objects.filter(chat=row.erased_from, outbox__isnull=False).aexists():
            continue  # The message itself may not be in the log yet.
        chat_id = str(row.erased_from)
        event = ev.log_event(chat_id, ev.FileErased(file=str(row.id)), f"{row.id}:erased")
        if await Chat.objects.filter(id=chat_id, owner=row.owner).aexists():
            await get_log().append(row.owner.stream, [event])
        if await sync_to_async(_erase_bytes)(row):
            await sync_to_async(indexer.forget)(uuid.UUID(chat_id))
            await StoredFile.objects.filter(id=row.id).aupdate(erased_from=None)
            forgotten += 1
    if forgotten:
        await sync_to_async(indexer.drop_traces)()
    await _erase_sounds(marked)
    await sync_to_async(_erase_all)(marked & Q(erased_from=None))


async def _erase_sounds(marked: Q) -> None:
    """Remove the sound of answers that was not stored yet."""
    unstored = StoredFile.objects.filter(marked, sha256="", size_bytes=0).select_related("owner")
    for row in [row async for row in unstored]:
        await get_log().sounds.erase(row.owner.stream, str(row.id))


def erase_files_of(person: User) -> None:
    """Remove all files of a person, before their chats and their row. May be repeated. Sync."""
    uploads.erase_rows(Q(owner=person))
    _erase_all(Q(owner=person, state=State.ERASED))


def mark_unattached() -> None:
    """Mark the files that were uploaded long ago and never sent. Sync."""
    before = timezone.now() - UNATTACHED_FOR
    old = StoredFile.objects.exclude(state=State.ERASED).filter(chat=None, changed_at__lt=before)
    for file_id in list(old.order_by("created_at").values_list("id", flat=True)):
        # One after another: several at once could wait for a message that takes them.
        uploads.erase_rows(Q(id=file_id, chat=None, changed_at__lt=before))


def mark_unfinished() -> None:
    """Mark the pictures of models that were begun long ago and never finished: the answer was not
    taken over. Sync."""
    before = timezone.now() - UNATTACHED_FOR
    begun = Q(chat__isnull=False, state=State.CHECKING, changed_at__lt=before)
    uploads.erase_rows(begun)


def remove_strays() -> None:
    """Remove objects whose file has no row. A row is older than its objects, so none of them can
    still be announced. Sync."""
    stored = objects.stored_ids()
    while ids := list(islice(stored, STRAYS_AT_ONCE)):
        known = set(StoredFile.objects.filter(id__in=ids).values_list("id", flat=True))
        for file_id in set(ids) - known:
            objects.erase(file_id)
            logger.info("removed the objects of file %s, which has no row", file_id)


def _erase_all(which: Q) -> None:
    failed: set[uuid.UUID] = set()
    rows = StoredFile.objects.filter(which).order_by("created_at")
    while batch := list(rows.exclude(id__in=failed)[:BATCH]):
        for row in batch:
            if _erase_bytes(row):
                StoredFile.objects.filter(id=row.id, state=State.ERASED).delete()
            else:
                failed.add(row.id)


def _erase_bytes(row: StoredFile) -> bool:
    try:
        objects.erase(row.id)
    except OSError:
        logger.exception("file %s could not be erased; trying again later", row.id)
        return False
    return True
