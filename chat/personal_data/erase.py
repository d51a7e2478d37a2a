"""Erases the chats of a person who deletes their account, and chats that their owner deleted.

A deleted chat can be restored for CHAT_UNDO_HOURS, a temporary one for SETTLED_FOR. After that

1. one transaction deletes its rows and records in an ErasedChat that its entries must be removed;
2. they are removed from the log, which may be repeated;
3. the ErasedChat is marked as finished and kept, with only its id, so that no late send creates the
   chat again.

A chat is not erased while an answer is running, or shortly after an answer or title was written.
"""

import logging
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from chat.files.uploads import erase_rows
from chat.models import Chat, ErasedChat, Reply
from chat.personal_data.merge_guest import SEALING_TOKEN
from chat.search import indexer
from streams.log import Fence, get_log

logger = logging.getLogger(__name__)

# Longer than a background call and an append take, so that nothing is written after erasing.
SETTLED_FOR = timedelta(minutes=3)
BATCH = 100


async def erase_person(person: User) -> None:
    """Erase all chats of a person. May be repeated."""
    for reply_id in await sync_to_async(_unfinished)(person):
        # Its writer is fenced off, and without its row nobody takes it over.
        await get_log().raise_fence(person.stream, Fence(name=reply_id, token=SEALING_TOKEN))
    removed = 0
    while count := await sync_to_async(_remove_rows)(person):
        removed += count
    if await get_log().erase(person.stream) or removed:
        await _drop_traces()


async def erase_deleted_chats() -> None:
    """Erase chats that were deleted long enough ago. Run by the worker."""
    await sync_to_async(_delete_expired_chats)()
    erased = 0
    for chat in await sync_to_async(_pending_erasures)():
        await get_log().erase_chat(chat.owner.stream, str(chat.id))
        await ErasedChat.objects.filter(id=chat.id).aupdate(finished_at=timezone.now())
        erased += 1
    if erased:
        await _drop_traces()
        logger.info("erased %d deleted chats", erased)


async def _drop_traces() -> None:
    """Remove erased text from the files of the index and, if it is embedded, of Redis."""
    await sync_to_async(indexer.drop_traces)()
    if settings.EMBEDDED_REDIS:
        await get_log().rewrite_files()


def _unfinished(person: User) -> list[str]:
    owed = Reply.objects.filter(chat__owner=person, finished_at=None)
    return [str(reply_id) for reply_id in owed.values_list("id", flat=True)]


def _remove_rows(person: User) -> int:
    """Delete a batch: on SQLite, a long transaction would block everybody's sends. The files were
    erased before (chat/files/personal_data.py)."""
    batch = Chat.objects.filter(owner=person).order_by("id").values_list("id", flat=True)[:BATCH]
    return Chat.objects.filter(id__in=list(batch)).delete()[0]


def _delete_expired_chats() -> None:
    for chat_id in list(_expired_chats().values_list("id", flat=True)[:BATCH]):
        with transaction.atomic():
            locked = Chat.objects.select_for_update().filter(id=chat_id)
            # Checked again: it may have been restored meanwhile.
            if locked.exists() and (chat := _expired_chats().filter(id=chat_id).first()):
                ErasedChat.objects.get_or_create(id=chat.id, defaults={"owner_id": chat.owner_id})
                erase_rows(Q(chat=chat))
                chat.delete()


def _expired_chats() -> QuerySet[Chat]:
    now = timezone.now()
    before = now - max(timedelta(hours=settings.CHAT_UNDO_HOURS), SETTLED_FOR)
    over = Q(deleted_at__lt=before) | Q(deleted_at__lt=now - SETTLED_FOR, is_temporary=True)
    recent = Q(finished_at=None) | Q(finished_at__gt=now - SETTLED_FOR)
    recent_replies = Reply.objects.filter(recent, chat=OuterRef("id"))
    chats = Chat.objects.filter(~Exists(recent_replies), over, deleted_at__isnull=False)
    return chats.order_by("deleted_at")


def _pending_erasures() -> list[ErasedChat]:
    unfinished = ErasedChat.objects.filter(finished_at=None).select_related("owner")
    return list(unfinished.order_by("erased_at")[:BATCH])
