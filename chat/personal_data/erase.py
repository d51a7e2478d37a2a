"""Erasing what was said: everything of a person who leaves, and chats whose owner deleted them.

A deleted chat can be brought back for CHAT_UNDO_HOURS. After that

1. one transaction removes its rows and writes down that its entries must go (ErasedChat);
2. they are removed from the log, which may be repeated;
3. the ErasedChat says so, and stays: with the id alone, so that no late send begins the chat anew.

Never one in which an answer is running, or ended or was titled only just now.
"""

import logging
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from chat.models import Chat, ErasedChat, Reply
from chat.personal_data.merge_guest import SEALED
from chat.search import indexer
from streams.log import Fence, get_log

logger = logging.getLogger(__name__)

# Longer than a background call and an append take: what they write must be there to be erased.
SETTLED_FOR = timedelta(minutes=3)
BATCH = 100


async def erase_person(person: User) -> None:
    """Remove all that a person said and was told. May be repeated."""
    for reply_id in await sync_to_async(_unfinished)(person):
        # Whoever writes it is fenced off; with its row gone nobody takes it over.
        await get_log().raise_fence(person.stream, Fence(name=reply_id, token=SEALED))
    removed = 0
    while some := await sync_to_async(_remove_rows)(person):
        removed += some
    if await get_log().erase(person.stream) or removed:
        await _drop_traces()


async def erase_deleted_chats() -> None:
    """Erase what was deleted long enough ago. For the worker."""
    await sync_to_async(_take_out)()
    erased = 0
    for chat in await sync_to_async(_taken_out)():
        await get_log().erase_chat(chat.owner.stream, str(chat.id))
        await ErasedChat.objects.filter(id=chat.id).aupdate(finished_at=timezone.now())
        erased += 1
    if erased:
        await _drop_traces()
        logger.info("erased %d deleted chats", erased)


async def _drop_traces() -> None:
    """Of what is gone from tables and keys, in the files below them as far as that is ours."""
    await sync_to_async(indexer.drop_traces)()
    if settings.EMBEDDED_REDIS:
        await get_log().rewrite_files()


def _unfinished(person: User) -> list[str]:
    owed = Reply.objects.filter(chat__owner=person, finished_at=None)
    return [str(reply_id) for reply_id in owed.values_list("id", flat=True)]


def _remove_rows(person: User) -> int:
    """Some of them: a long transaction would hold up everybody's sends on SQLite."""
    some = Chat.objects.filter(owner=person).order_by("id").values_list("id", flat=True)[:BATCH]
    return Chat.objects.filter(id__in=list(some)).delete()[0]


def _take_out() -> None:
    for chat_id in list(_forgotten().values_list("id", flat=True)[:BATCH]):
        with transaction.atomic():
            locked = Chat.objects.select_for_update().filter(id=chat_id)
            # Looked at again: it may have been brought back.
            if locked.exists() and (chat := _forgotten().filter(id=chat_id).first()):
                ErasedChat.objects.get_or_create(id=chat.id, defaults={"owner_id": chat.owner_id})
                chat.delete()


def _forgotten() -> QuerySet[Chat]:
    now = timezone.now()
    before = now - max(timedelta(hours=settings.CHAT_UNDO_HOURS), SETTLED_FOR)
    lately = Q(finished_at=None) | Q(finished_at__gt=now - SETTLED_FOR)
    lively = Reply.objects.filter(lately, chat=OuterRef("id"))
    return Chat.objects.filter(~Exists(lively), deleted_at__lt=before).order_by("deleted_at")


def _taken_out() -> list[ErasedChat]:
    unfinished = ErasedChat.objects.filter(finished_at=None).select_related("owner")
    return list(unfinished.order_by("erased_at")[:BATCH])
