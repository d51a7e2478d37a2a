"""Drafts: text that was not sent, the same on all of a person's devices.

The draft that was written last wins. The clock of a browser may be wrong, so it sends the age of
the text instead of a time; the age does not include how long the request took. Therefore it also
sends which draft it replaces: the new draft counts as later than that one. The person's other
sockets receive the draft through the channel layer. If that message is lost, the next page load has
the draft.
"""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.personal_data_registry import ExportFile, PersonalData
from accounts.sockets import group_of, send_to_group
from chat.chats import own_chat
from chat.models import Draft
from chat.storage import require_room_for_draft

# Drafts on a page, the last written first; the others are fetched when their chats are opened.
MAX_LISTED = 100
LISTED_CHARS = 200_000
# How long the row of an emptied draft is kept: longer than a late request takes.
EMPTY_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Writing:
    """The content of a composer. `tab` names the page, which ignores its own draft when all pages
    are notified; `age_ms` is how long ago the text was written; `seen_ms` is the `written_ms` of
    the draft that this one replaces, if the page has one. `was`: a mark of the draft that the page
    had in common with the server; other pages then know whether this one continues their text."""

    chat: uuid.UUID | None
    text: str
    pastes: list[str]
    age_ms: int
    tab: str
    seen_ms: int | None = None
    was: str | None = None

    @property
    def size_bytes(self) -> int:
        """The size of its JSON in bytes; its message would be stored in the same form."""
        return len(orjson.dumps([self.text, self.pastes])) if self.text or self.pastes else 0


async def write(owner: User, writing: Writing) -> dict[str, Any]:
    """Store the draft, unless a later one is stored; returns the stored one (`draft_json`). The
    person's other pages are told, except of the draft of a temporary chat, which they would keep.

    Raises ChatNotFound, StorageFull, AddressFull.
    """
    await require_room_for_draft(owner, writing.chat, writing.size_bytes)
    kept, is_news = await sync_to_async(_keep)(owner, writing)
    draft = draft_json(kept)
    if is_news:
        marks = {"tab": writing.tab} | ({} if writing.was is None else {"was": writing.was})
        message = {"type": "draft.written", "draft": draft | marks}
        await send_to_group(group_of(owner.id), message)
    return draft


def drafts_of(owner: User, shown: uuid.UUID | None = None) -> tuple[list[dict[str, Any]], bool]:
    """The drafts that are not empty, and whether some are left out: that of the shown chat (None:
    a new chat) first, then the last written ones, up to the limits of a page. Sync."""
    drafts, more = _last_written(owner, shown)
    # In a stable sort, False comes first: the draft of the shown chat.
    drafts.sort(key=lambda draft: draft.chat_id != shown)
    if more and drafts[0].chat_id != shown:
        drafts[:0] = _written(owner).filter(chat=shown)
    listed: list[dict[str, Any]] = []
    room = LISTED_CHARS
    for draft in drafts:
        room -= _chars(draft)
        if listed and (room < 0 or len(listed) == MAX_LISTED):
            return listed, True
        listed.append(draft_json(draft))
    return listed, more


def _last_written(owner: User, shown: uuid.UUID | None) -> tuple[list[Draft], bool]:
    """The drafts that were written last, enough to fill a page, and whether there are others."""
    drafts: list[Draft] = []
    chars = 0
    # A few at a time: the drafts beyond the limit may be long.
    for draft in _listed(owner, shown)[: MAX_LISTED + 2].iterator(chunk_size=10):
        if chars > LISTED_CHARS or len(drafts) > MAX_LISTED:
            return drafts, True
        chars += _chars(draft)
        drafts.append(draft)
    return drafts, False


def _chars(draft: Draft) -> int:
    return len(draft.text) + sum(map(len, draft.pastes))


def draft_of(owner: User, chat: uuid.UUID | None) -> list[dict[str, Any]]:
    """The draft of this chat (None: a new chat) as a list, empty for an emptied draft. Sync."""
    return [draft_json(draft) for draft in _written(owner).filter(chat=chat)]


def draft_in(owner: User, chat: str | None) -> dict[str, Any] | None:
    """The draft of this chat (None: a new chat), even an emptied one. Sync."""
    draft = Draft.objects.filter(owner=owner, chat=uuid.UUID(chat) if chat else None).first()
    return draft_json(draft) if draft else None


def _written(owner: User) -> QuerySet[Draft]:
    """Drafts that are not empty, the last written first, without those of deleted chats."""
    rows = Draft.objects.filter(Q(chat=None) | Q(chat__deleted_at=None), owner=owner)
    return rows.exclude(text="", pastes=[]).order_by("-written_at")


def _listed(owner: User, shown: uuid.UUID | None = None) -> QuerySet[Draft]:
    """Those of `_written`, without those of temporary chats, except that of the shown chat."""
    is_listed = Q(chat=None) | Q(chat__is_temporary=False) | Q(chat=shown)
    return _written(owner).filter(is_listed)


def draft_json(draft: Draft) -> dict[str, Any]:
    return {
        "chat": str(draft.chat_id) if draft.chat_id else None,
        "text": draft.text,
        "pastes": draft.pastes,
        "written_ms": _ms(draft.written_at),
    }


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _keep(owner: User, writing: Writing) -> tuple[Draft, bool]:
    is_told = writing.chat is None or not own_chat(owner, writing.chat).is_temporary
    now = timezone.now()
    written_at = now - timedelta(milliseconds=writing.age_ms)
    own_drafts = Draft.objects.filter(owner=owner)
    with transaction.atomic():
        draft = _locked(owner, writing.chat, written_at)
        is_known = writing.seen_ms == _ms(draft.written_at)
        is_new = is_known or draft.written_at <= written_at
        if is_new:
            written_at = max(written_at, draft.written_at + timedelta(milliseconds=1))
            draft.text, draft.pastes, draft.written_at = writing.text, writing.pastes, written_at
            draft.size_bytes = writing.size_bytes
            draft.save(update_fields=["text", "pastes", "size_bytes", "written_at"])
        own_drafts.filter(text="", pastes=[], written_at__lt=now - EMPTY_KEPT).delete()
    return draft, is_new and is_told


def _locked(owner: User, chat: uuid.UUID | None, written_at: datetime) -> Draft:
    """The row of the chat's draft, locked; created if it is missing."""
    rows = Draft.objects.select_for_update().filter(owner=owner, chat=chat)
    if draft := rows.first():
        return draft
    try:
        with transaction.atomic():
            return Draft.objects.create(owner=owner, chat_id=chat, written_at=written_at)
    except IntegrityError:  # Another request created it at the same moment.
        return rows.get()


# Personal data


async def hand_over(guest: User, account: User, last: bool) -> None:
    await sync_to_async(_hand_over)(guest, account)


def _hand_over(guest: User, account: User) -> None:
    """Move the drafts to the account; if it has one for the same chat, the later one stays."""
    with transaction.atomic():
        for draft in Draft.objects.select_for_update().filter(owner=guest):
            others = Draft.objects.select_for_update().filter(owner=account, chat=draft.chat_id)
            if other := others.first():
                if other.written_at >= draft.written_at:
                    draft.delete()
                    continue
                other.delete()
            draft.owner = account
            draft.save(update_fields=["owner"])


async def erase(person: User) -> None:
    await sync_to_async(Draft.objects.filter(owner=person).delete)()


def in_use(since: datetime) -> QuerySet[Any]:
    return Draft.objects.filter(written_at__gte=since).values("owner_id")


async def export(person: User) -> AsyncIterator[ExportFile]:
    if content := await sync_to_async(_exported)(person):
        yield ExportFile("drafts.json", _once(content))


def _exported(person: User) -> bytes | None:
    """[{chat, text, pastes, written_at}] as JSON, the last written first; None without drafts."""
    rows = [
        {
            "chat": draft.chat_id,
            "text": draft.text,
            "pastes": draft.pastes,
            "written_at": draft.written_at,
        }
        for draft in _listed(person)
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n" if rows else None


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


personal_data = PersonalData("drafts", hand_over, erase, in_use, export)
