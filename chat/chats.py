"""Changes that an owner makes to a chat: its title, its place in the list, the shown branch, the
instructions for the model.

The log decides. A change is appended first, under an id that the browser made, and then written to
the row, unless a later entry has changed the same thing. So a request that is repeated late (its
response was lost) undoes no later change, and the rows agree with what every screen shows.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat import events as ev
from chat.errors import ChatNotFound, MessageNotFound
from chat.models import Chat, Reply
from chat.outline import outline_of
from chat.storage import is_full, room_for
from streams.cursors import START, is_after
from streams.log import get_log

# Changes a locked row and returns the names of the fields to save.
Put = Callable[[Chat], list[str]]
ChangeId = uuid.UUID | None


def own_chat(owner: User, chat_id: uuid.UUID) -> Chat:
    """Raises ChatNotFound if it does not exist, is deleted or is somebody else's. Sync."""
    chat = Chat.objects.filter(id=chat_id, owner=owner, deleted_at=None).first()
    if chat is None:
        raise ChatNotFound
    return chat


def titles_of(owner_id: uuid.UUID, chat_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The titles of those of the chats that this person owns, by id, without temporary chats: what
    names a charge must not lead to one. Sync."""
    owned = Chat.objects.filter(
        owner_id=owner_id, deleted_at=None, is_temporary=False, id__in=list(chat_ids)
    )
    return dict(owned.values_list("id", "title"))


async def rename(owner: User, chat_id: uuid.UUID, title: str, change_id: ChangeId = None) -> None:
    """Set the title; no model renames the chat after that."""
    await sync_to_async(own_chat)(owner, chat_id)
    event = ev.ChatRenamed(chat=str(chat_id), title=title, by="user")
    event_id = f"{chat_id}:title:{change_id or uuid.uuid4()}"
    entry = await append_within(owner, chat_id, event, event_id)
    again = await sync_to_async(_write_title)(owner, chat_id, entry, title)
    await _name_again(owner, chat_id, again)


async def tell_title_by_model(owner: User, chat_id: uuid.UUID, title: str) -> None:
    """Append the title that a model has given and that the row has."""
    event = ev.ChatRenamed(chat=str(chat_id), title=title, by="model")
    entry = await _append(owner, chat_id, event, f"{chat_id}:titled")
    again = await sync_to_async(_write_title)(owner, chat_id, entry, None)
    await _name_again(owner, chat_id, again)


def _write_title(
    owner: User, chat_id: uuid.UUID, entry: str, title: str | None
) -> tuple[str, str] | None:
    """Write a person's title to the row, or note the entry of a model's (None).

    A person may rename the chat while a model's title is being appended. If the model's entry is
    the later one, this returns the person's title, and an event id, to append it once more.
    """
    with transaction.atomic():
        chat = Chat.objects.select_for_update().filter(id=chat_id, owner=owner).first()
        if chat is None:
            raise ChatNotFound
        last, by_user = chat.set_by.get("title", START), chat.title_by == Chat.TitleBy.USER
        is_latest = is_after(entry, last)
        if title is not None and (is_latest or not by_user):
            chat.title, chat.title_by = title, Chat.TitleBy.USER
        chat.set_by["title"] = entry if is_latest else last
        chat.save(update_fields=["title", "title_by", "set_by"])
        model_is_later = by_user and is_latest if title is None else not (by_user or is_latest)
        return (chat.title, f"{chat_id}:title:{entry}:again") if model_is_later else None


async def _name_again(owner: User, chat_id: uuid.UUID, named: tuple[str, str] | None) -> None:
    if named is None:
        return
    title, event_id = named
    event = ev.ChatRenamed(chat=str(chat_id), title=title, by="user")
    entry = await _append(owner, chat_id, event, event_id)
    await sync_to_async(_write_title)(owner, chat_id, entry, title)


async def instruct(owner: User, chat_id: uuid.UUID, instructions: str) -> None:
    """Set the instructions for the model in this chat, from the next reply on; "" for none.

    Only the log holds the text, so that every screen and every prompt read the same. Instructions
    that the log already has are not appended again: the row has their digest. The digest is empty
    during a change, so that an interrupted change is made when it is requested again.
    """
    digest = hashlib.sha256(instructions.encode()).hexdigest()
    chat = await sync_to_async(own_chat)(owner, chat_id)
    if chat.instructions_digest == digest:
        return

    def put(chat: Chat) -> list[str]:
        chat.instructions_digest = digest
        return ["instructions_digest"]

    event = ev.ChatInstructed(chat=str(chat_id), instructions=instructions)
    logged = ev.log_event(str(chat_id), event, str(uuid.uuid4()))
    async with room_for(owner, chat_id, [logged]):
        await Chat.objects.filter(id=chat_id).aupdate(instructions_digest="")
        [entry] = await get_log().append(owner.stream, [logged])
    await sync_to_async(write_row)(owner, chat_id, "instructions", entry, put)


async def pin(owner: User, chat_id: uuid.UUID, pinned: bool, change_id: ChangeId = None) -> None:
    """Keep a chat at the top of the list, or stop that."""

    def put(chat: Chat) -> list[str]:
        chat.pinned_at = timezone.now() if pinned else None
        return ["pinned_at"]

    event = ev.ChatPinned(chat=str(chat_id), pinned=pinned)
    await _change(owner, chat_id, event, change_id, "pin", put)


async def archive(
    owner: User, chat_id: uuid.UUID, archived: bool, change_id: ChangeId = None
) -> None:
    """Take a chat out of the list, where search still finds it, or put it back."""

    def put(chat: Chat) -> list[str]:
        chat.archived_at = timezone.now() if archived else None
        return ["archived_at"]

    event = ev.ChatArchived(chat=str(chat_id), archived=archived)
    await _change(owner, chat_id, event, change_id, "archive", put)


async def choose_branch(
    owner: User, chat_id: uuid.UUID, message_id: uuid.UUID, change_id: ChangeId = None
) -> None:
    """Show this message among its siblings, on every device; the next send goes below it."""
    await sync_to_async(own_chat)(owner, chat_id)
    outline = await outline_of(owner, chat_id)
    if str(message_id) not in outline.messages:
        raise MessageNotFound
    leaf = outline.leaf_below(str(message_id))
    role, above = outline.messages[leaf]
    tip = leaf if role == "assistant" else above

    def put(chat: Chat) -> list[str]:
        chat.tip = chat.replies.filter(id=tip).first() if tip else None
        return ["tip"]

    event = ev.BranchChosen(message=str(message_id))
    await _change(owner, chat_id, event, change_id, "branch", put)


async def delete(owner: User, chat_id: uuid.UUID, change_id: ChangeId = None) -> list[str]:
    """Delete a chat on every device; returns the ids of its replies that must be stopped.

    It can be restored for CHAT_UNDO_HOURS.
    """
    chat = await sync_to_async(_chat_even_deleted)(owner, chat_id)
    # Each repetition under another id adds an entry; without room, only the first is appended.
    if chat.deleted_at is None or (change_id and not await is_full(owner)):
        # Without an id, the last restoring names the event, so that repetitions are one event.
        name = change_id or chat.set_by.get("deletion", "first")
        event_id = f"{chat_id}:deleted" if name == "first" else f"{chat_id}:deleted:{name}"
        entry = await _append(owner, chat_id, ev.ChatDeleted(chat=str(chat_id)), event_id)
        await sync_to_async(write_row)(owner, chat_id, "deletion", entry, _mark_deleted)
    return await sync_to_async(_stop_if_deleted)(chat_id)


async def restore(owner: User, chat_id: uuid.UUID, change_id: ChangeId = None) -> None:
    """Undo a deletion. Raises ChatNotFound if it is too late for that."""
    chat = await sync_to_async(_chat_even_deleted)(owner, chat_id)
    if chat.deleted_at is None:
        return
    if chat.deleted_at <= undo_until():
        raise ChatNotFound(_("This chat was deleted too long ago to be brought back."))

    def put(chat: Chat) -> list[str]:
        chat.deleted_at = None
        return ["deleted_at"]

    name = change_id or chat.set_by.get("deletion", "first")
    event = ev.ChatRestored(chat=str(chat_id))
    entry = await append_within(owner, chat_id, event, f"{chat_id}:restored:{name}")
    await sync_to_async(write_row)(owner, chat_id, "deletion", entry, put)


async def mark_read(owner: User, chat_id: uuid.UUID, until_ms: int) -> None:
    """Record that the owner has seen the replies that ended up to `until_ms`. The mark never falls.

    If there is no room for the entry, other devices see the mark when they next load the page.
    """
    seen_ms = await sync_to_async(_raise_read_mark)(owner, chat_id, until_ms)
    if seen_ms is not None and not await is_full(owner):
        event = ev.ChatRead(chat=str(chat_id), until_ms=seen_ms)
        await _append(owner, chat_id, event, f"{chat_id}:read:{seen_ms}")


def undo_until() -> datetime:
    """A chat that was deleted up to this moment cannot be restored."""
    return timezone.now() - timedelta(hours=settings.CHAT_UNDO_HOURS)


async def _change(
    owner: User, chat_id: uuid.UUID, event: ev.AnyEvent, change_id: ChangeId, thing: str, put: Put
) -> None:
    await sync_to_async(own_chat)(owner, chat_id)
    event_id = f"{chat_id}:{thing}:{change_id or uuid.uuid4()}"
    entry = await append_within(owner, chat_id, event, event_id)
    await sync_to_async(write_row)(owner, chat_id, thing, entry, put)


async def append_within(owner: User, chat_id: uuid.UUID, event: ev.AnyEvent, event_id: str) -> str:
    """Like `_append`, if the owner has room for it. Raises StorageFull, StorageBusy."""
    logged = ev.log_event(str(chat_id), event, event_id)
    async with room_for(owner, chat_id, [logged], is_text=False):
        return await _append(owner, chat_id, event, event_id)


async def _append(owner: User, chat_id: uuid.UUID, event: ev.AnyEvent, event_id: str) -> str:
    """Append an event and return its entry id; for a repeated event, the id of its first entry."""
    logged = ev.log_event(str(chat_id), event, event_id)
    [entry] = await get_log().append(owner.stream, [logged])
    return entry


def write_row(owner: User, chat_id: uuid.UUID, thing: str, entry: str, put: Put) -> None:
    """Let `put` change the chat's row, unless a later entry has changed the same thing. Sync."""
    with transaction.atomic():
        chat = Chat.objects.select_for_update().filter(id=chat_id, owner=owner).first()
        if chat is None:
            raise ChatNotFound
        if is_after(entry, chat.set_by.get(thing, START)):
            chat.set_by[thing] = entry
            chat.save(update_fields=[*put(chat), "set_by"])


def _chat_even_deleted(owner: User, chat_id: uuid.UUID) -> Chat:
    chat = Chat.objects.filter(id=chat_id, owner=owner).first()
    if chat is None:
        raise ChatNotFound
    return chat


def _mark_deleted(chat: Chat) -> list[str]:
    chat.deleted_at = timezone.now()
    return ["deleted_at"]


def _stop_if_deleted(chat_id: uuid.UUID) -> list[str]:
    with transaction.atomic():
        chat = Chat.objects.select_for_update().filter(id=chat_id).first()
        if chat is None or chat.deleted_at is None:
            return []  # Restored, or erased, in the meantime.
        return stop_replies(chat)


def stop_replies(chat: Chat) -> list[str]:
    """Record that all replies of a locked chat are to stop; returns the ids of those that run."""
    running = chat.replies.exclude(state__in=Reply.FINAL)
    running.filter(stop_requested_at=None).update(stop_requested_at=timezone.now())
    return [str(reply_id) for reply_id in running.values_list("id", flat=True)]


def _raise_read_mark(owner: User, chat_id: uuid.UUID, until_ms: int) -> int | None:
    """Raise the mark and return it; None if it was higher. An equal mark is a repetition, which the
    log may not have yet. A mark is never in the future, unless the end of a reply is: the times of
    the log only grow, and the clock may have been set back.
    """
    chat = own_chat(owner, chat_id)
    now_ms = round(timezone.now().timestamp() * 1000)
    until_ms = min(until_ms, max(now_ms, chat.ended_ms))
    marks = Chat.objects.filter(id=chat_id, owner=owner, read_ms__lte=until_ms)
    return until_ms if marks.update(read_ms=until_ms) else None
