"""The list of a person's chats: look it up, rename, instruct, delete, choose a branch."""

import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from chat import events as ev
from chat.errors import ChatNotFound, MessageNotFound
from chat.models import Chat, Reply
from chat.sends import lock_own_chat
from chat.transcript import fold_entries
from streams.log import get_log

LIST_LENGTH = 500


def chat_list(owner: User) -> list[dict[str, Any]]:
    """The newest chats, as the sidebar shows them. Sync."""
    rows = Chat.objects.filter(owner=owner, deleted_at=None).order_by("-updated_at")[:LIST_LENGTH]
    answering = set(
        Reply.objects.filter(
            chat__owner=owner, state__in=[Reply.State.QUEUED, Reply.State.WAITING]
        ).values_list("chat_id", flat=True)
    )
    return [
        {
            "id": str(chat.id),
            "title": chat.title,
            "model": chat.model,
            "updated_ms": round(chat.updated_at.timestamp() * 1000),
            "answering": chat.id in answering,
        }
        for chat in rows
    ]


def own_chat(owner: User, chat_id: uuid.UUID) -> Chat:
    """Raises ChatNotFound, whether it does not exist, is deleted or is somebody else's. Sync."""
    chat = Chat.objects.filter(id=chat_id, owner=owner, deleted_at=None).first()
    if chat is None:
        raise ChatNotFound
    return chat


async def rename(owner: User, chat_id: uuid.UUID, title: str) -> None:
    """Give a chat the title its owner wants; no model renames it after that."""
    await sync_to_async(_set_title)(owner, chat_id, title)
    await _append(owner, chat_id, ev.ChatRenamed(chat=str(chat_id), title=title, by="user"))


async def instruct(owner: User, chat_id: uuid.UUID, instructions: str) -> None:
    """Tell the model what its owner wants in this chat, from the next answer on; "" for nothing.

    The log alone holds it, so that every screen and every prompt read the same.
    """
    await sync_to_async(own_chat)(owner, chat_id)
    event = ev.ChatInstructed(chat=str(chat_id), instructions=instructions)
    await _append(owner, chat_id, event)


async def delete(owner: User, chat_id: uuid.UUID) -> list[str]:
    """Take a chat off the list on every device; gives the answers in it that must be stopped.

    May be repeated: the first try may have come no further than the database.
    """
    running = await sync_to_async(_mark_deleted)(owner, chat_id)
    await _append(owner, chat_id, ev.ChatDeleted(chat=str(chat_id)), f"{chat_id}:deleted")
    return running


async def choose_branch(owner: User, chat_id: uuid.UUID, message_id: uuid.UUID) -> None:
    """Show this message among its siblings, on every device; the next send goes below it."""
    await sync_to_async(own_chat)(owner, chat_id)
    transcript = fold_entries(await get_log().read(owner.stream, chat=str(chat_id)))
    if str(message_id) not in transcript.messages:
        raise MessageNotFound
    leaf = transcript.leaf_below(str(message_id))
    tip = leaf.id if leaf.role == "assistant" else leaf.parent
    await sync_to_async(_set_tip)(owner, chat_id, tip)
    await _append(owner, chat_id, ev.BranchChosen(message=str(message_id)))


async def _append(
    owner: User, chat_id: uuid.UUID, event: ev.AnyEvent, event_id: str | None = None
) -> None:
    logged = ev.log_event(str(chat_id), event, event_id or str(uuid.uuid4()))
    await get_log().append(owner.stream, [logged])


def _set_title(owner: User, chat_id: uuid.UUID, title: str) -> None:
    with transaction.atomic():
        chat = lock_own_chat(owner, chat_id)
        chat.title = title
        chat.title_by = Chat.TitleBy.USER
        chat.save(update_fields=["title", "title_by"])


def _mark_deleted(owner: User, chat_id: uuid.UUID) -> list[str]:
    with transaction.atomic():
        chat = Chat.objects.select_for_update().filter(id=chat_id, owner=owner).first()
        if chat is None:
            raise ChatNotFound
        now = timezone.now()
        chat.deleted_at = chat.deleted_at or now
        chat.save(update_fields=["deleted_at"])
        running = chat.replies.exclude(state__in=Reply.FINAL)
        running.filter(stop_requested_at=None).update(stop_requested_at=now)
        return [str(reply_id) for reply_id in running.values_list("id", flat=True)]


def _set_tip(owner: User, chat_id: uuid.UUID, tip: str | None) -> None:
    with transaction.atomic():
        chat = lock_own_chat(owner, chat_id)
        chat.tip = chat.replies.filter(id=tip).first() if tip else None
        chat.save(update_fields=["tip"])
