"""Temporary chats, which leave nothing behind unless their owner keeps them.

A temporary chat is a chat like any other while it is open: in the log, with workers that replace
each other. It is in no list, search or archive, and has no title. It ends

- when its page has been closed for LEFT_FOR (a page that is reloaded follows the chat again), or
- TEMPORARY_CHAT_HOURS after its last message.

It is then deleted, and erased as every deleted chat is (chat/personal_data/erase.py), but without
the time for restoring. `keep` makes it an ordinary chat.
"""

import logging
import uuid
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import sockets
from accounts.models import User
from chat import events as ev
from chat.chats import own_chat, stop_replies
from chat.errors import ChatNotFound
from chat.folding import fold_chat
from chat.models import Chat
from chat.sending.sends import start_title
from chat.sending.stops import notify_workers
from streams.log import get_log

logger = logging.getLogger(__name__)

# Longer than it takes to sign up or to buy credit and come back, which leaves the page. A reload
# and the heartbeat of another page's socket take less.
LEFT_FOR = timedelta(minutes=10)
BATCH = 100


async def keep(owner: User, chat_id: uuid.UUID) -> None:
    """Make a temporary chat an ordinary one. May be repeated. Raises ChatNotFound.

    The row is changed first, because it decides what is erased. If the process dies before the
    event is in the log, pages still show the chat as temporary, and the repetition adds the event.
    """
    chat = await sync_to_async(own_chat)(owner, chat_id)
    title = chat.title or await _title_by_log(owner, chat_id)
    chat = await sync_to_async(_keep)(owner, chat_id, title)
    event = ev.ChatKept(chat=str(chat_id), title=chat.title)
    await get_log().append(owner.stream, [ev.log_event(str(chat_id), event, f"{chat_id}:kept")])


async def _title_by_log(owner: User, chat_id: uuid.UUID) -> str:
    transcript = await fold_chat(get_log(), owner.stream, str(chat_id))
    first = next((message for message in transcript.path() if message.role == "user"), None)
    if first is None:
        return ""
    names = [file["name"] for file in first.files or ()]
    return start_title(str(first.text) or next(iter(names), ""))


def _keep(owner: User, chat_id: uuid.UUID, title: str) -> Chat:
    with transaction.atomic():
        own = Chat.objects.select_for_update().filter(id=chat_id, owner=owner, deleted_at=None)
        chat = own.first()
        if chat is None:
            raise ChatNotFound
        if chat.is_temporary:
            chat.is_temporary, chat.left_at = False, None
            chat.title = chat.title or title
            chat.search_due_at = timezone.now()
            chat.save(update_fields=["is_temporary", "left_at", "title", "search_due_at"])
            sockets.wake_workers("search")
        return chat


def leave(owner: User, chat_id: uuid.UUID) -> None:
    """The page of the chat was closed. Nothing else is changed, and no other chat. Sync.

    Raises ChatNotFound.
    """
    if own_chat(owner, chat_id).is_temporary:
        _temporary(owner.id, chat_id).filter(left_at=None).update(left_at=timezone.now())


def stay(owner_id: uuid.UUID, chat_id: uuid.UUID | str) -> None:
    """A page shows the chat. Sync."""
    _temporary(owner_id, chat_id).filter(left_at__isnull=False).update(left_at=None)


def _temporary(owner_id: uuid.UUID, chat_id: uuid.UUID | str) -> QuerySet[Chat]:
    return Chat.objects.filter(id=chat_id, owner_id=owner_id, is_temporary=True, deleted_at=None)


async def end_temporary_chats() -> None:
    """Delete the temporary chats that were left or not used. Run by the worker."""
    for chat_id in await sync_to_async(_ended)():
        chat, replies = await sync_to_async(_end)(chat_id)
        if chat is None:
            continue
        # Pages that still show the chat learn that it is over.
        event = ev.ChatDeleted(chat=str(chat_id))
        logged = ev.log_event(str(chat_id), event, f"{chat_id}:ended")
        await get_log().append(chat.owner.stream, [logged])
        await notify_workers(replies)
        logger.info("ended temporary chat %s", chat_id)


def _ended() -> list[uuid.UUID]:
    return list(_over().values_list("id", flat=True)[:BATCH])


def _end(chat_id: uuid.UUID) -> tuple[Chat | None, list[str]]:
    """Mark the chat as deleted and its replies as stopped. Returns the chat, or None if it is in
    use or kept by now, and the ids of those replies."""
    with transaction.atomic():
        over = _over().select_for_update(of=("self",)).select_related("owner")
        ended = over.filter(id=chat_id).first()
        if ended is None:
            return None, []
        ended.deleted_at = timezone.now()
        ended.save(update_fields=["deleted_at"])
        return ended, stop_replies(ended)


def _over() -> QuerySet[Chat]:
    now = timezone.now()
    unused = Q(updated_at__lt=now - timedelta(hours=settings.TEMPORARY_CHAT_HOURS))
    return Chat.objects.filter(
        unused | Q(left_at__lt=now - LEFT_FOR), is_temporary=True, deleted_at=None
    )
