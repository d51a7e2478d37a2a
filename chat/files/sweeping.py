"""Removes the bytes of files that nobody has any more: objects first, then rows.

A crash in between leaves a row, which the next run finds. Objects without a row, which a late
request or a paused worker may leave, are removed after a day.
"""

import logging
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from chat import events as ev
from chat.files import objects, uploads
from chat.models import Chat, StoredFile
from streams.log import get_log

logger = logging.getLogger(__name__)

# A file that no message has is kept so long for the draft that it was attached to.
UNATTACHED_FOR = timedelta(days=1)
BATCH = 50
State = StoredFile.State


async def erase_marked() -> None:
    """Remove the files that are marked as erased. Their chats are told first: the log drops an
    event that it has."""
    marked = Q(chat=None, state=State.ERASED)
    told = StoredFile.objects.filter(marked, erased_from__isnull=False).select_related("owner")
    for row in [row async for row in told]:
        chat_id = str(row.erased_from)
        event = ev.log_event(chat_id, ev.FileErased(file=str(row.id)), f"{row.id}:erased")
        if await Chat.objects.filter(id=chat_id, owner=row.owner).aexists():
            await get_log().append(row.owner.stream, [event])
        await StoredFile.objects.filter(id=row.id).aupdate(erased_from=None)
    await sync_to_async(_erase_all)(marked)


def erase_files_of(person: User) -> None:
    """Remove all files of a person, before their chats and their row. May be repeated. Sync."""
    uploads.erase_rows(Q(owner=person))
    _erase_all(Q(owner=person))


def mark_unattached() -> None:
    """Mark the files that were uploaded long ago and never sent. Sync."""
    before = timezone.now() - UNATTACHED_FOR
    uploads.erase_rows(Q(chat=None, changed_at__lt=before))


def remove_strays() -> None:
    """Remove objects whose file has no row. A row is older than its objects, so none of them can
    still be announced. Sync."""
    for file_id in objects.stored_ids():
        if not StoredFile.objects.filter(id=file_id).exists():
            objects.erase(file_id)
            logger.info("removed the objects of file %s, which has no row", file_id)


def _erase_all(which: Q) -> None:
    while rows := list(StoredFile.objects.filter(which).order_by("created_at")[:BATCH]):
        for row in rows:
            objects.erase(row.id)
            StoredFile.objects.filter(id=row.id, state=State.ERASED).delete()
