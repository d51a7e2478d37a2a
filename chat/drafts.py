"""Drafts: what somebody has begun to write, the same on each of their devices.

The one written last wins. A browser does not say when it was written, for its clock may be wrong:
it says how long ago, which leaves out how long the request itself took. So it also says which
draft it knows: what was written over that one is later than it. Other sockets of the person are
told by the channel layer; that word may be lost, and the next page says it again.
"""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
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

# On a page; the ones written last. The others are asked for when their chats are opened.
MAX_LISTED = 100
LISTED_CHARS = 200_000
# How long an emptied draft is remembered: longer than a late request takes.
EMPTY_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Writing:
    """What a browser has in its composer. `tab` names the page that writes, to leave it out when
    the others are told; `age_ms` is how long ago it was written; `seen_ms` is the `written_ms` of
    the draft that it takes the place of, where the page knows one."""

    chat: uuid.UUID | None
    text: str
    pastes: list[str]
    age_ms: int
    tab: str
    seen_ms: int | None = None

    @property
    def size_bytes(self) -> int:
        """As JSON, as its message would be stored."""
        return len(orjson.dumps([self.text, self.pastes])) if self.text or self.pastes else 0


async def write(owner: User, writing: Writing) -> dict[str, Any]:
    """Keep it, unless a later one is kept; gives the one that is kept then.

    Raises ChatNotFound and StorageFull.
    """
    await require_room_for_draft(owner, writing.chat, writing.size_bytes)
    kept, is_new = await sync_to_async(_keep)(owner, writing)
    said = draft_json(kept)
    if is_new:
        told = {"type": "draft.written", "draft": said | {"tab": writing.tab}}
        await send_to_group(group_of(owner.id), told)
    return said


def drafts_of(owner: User, shown: uuid.UUID | None = None) -> tuple[list[dict[str, Any]], bool]:
    """Those with something in them, and whether some are left out: the one of the chat that is
    shown (None: a new one), then those written last, as far as there is room. Sync."""
    others = _written(owner).exclude(chat=shown)[: MAX_LISTED + 1]
    found: list[dict[str, Any]] = []
    room = LISTED_CHARS
    # A few at a time: what there is no room for may be long.
    for draft in chain(_written(owner).filter(chat=shown), others.iterator(chunk_size=10)):
        room -= len(draft.text) + sum(map(len, draft.pastes))
        if found and (room < 0 or len(found) == MAX_LISTED):
            return found, True
        found.append(draft_json(draft))
    return found, False


def draft_of(owner: User, chat: uuid.UUID | None) -> list[dict[str, Any]]:
    """The one of this chat (None: a new one), if there is something in it. Sync."""
    return [draft_json(draft) for draft in _written(owner).filter(chat=chat)]


def draft_in(owner: User, chat: str | None) -> dict[str, Any] | None:
    """The one of this chat, emptied ones too. Sync."""
    draft = Draft.objects.filter(owner=owner, chat=uuid.UUID(chat) if chat else None).first()
    return draft_json(draft) if draft else None


def _written(owner: User) -> QuerySet[Draft]:
    """Those with something in them, the ones written last first; not those of deleted chats."""
    rows = Draft.objects.filter(Q(chat=None) | Q(chat__deleted_at=None), owner=owner)
    return rows.exclude(text="", pastes=[]).order_by("-written_at")


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
    if writing.chat is not None:
        own_chat(owner, writing.chat)
    now = timezone.now()
    written_at = now - timedelta(milliseconds=writing.age_ms)
    mine = Draft.objects.filter(owner=owner)
    with transaction.atomic():
        draft = _locked(owner, writing.chat, written_at)
        is_known = writing.seen_ms == _ms(draft.written_at)
        is_new = is_known or draft.written_at <= written_at
        if is_new:
            written_at = max(written_at, draft.written_at + timedelta(milliseconds=1))
            draft.text, draft.pastes, draft.written_at = writing.text, writing.pastes, written_at
            draft.size_bytes = writing.size_bytes
            draft.save(update_fields=["text", "pastes", "size_bytes", "written_at"])
        mine.filter(text="", pastes=[], written_at__lt=now - EMPTY_KEPT).delete()
    return draft, is_new


def _locked(owner: User, chat: uuid.UUID | None, written_at: datetime) -> Draft:
    """The row of this place, locked; made now if there is none."""
    rows = Draft.objects.select_for_update().filter(owner=owner, chat=chat)
    if found := rows.first():
        return found
    try:
        with transaction.atomic():
            return Draft.objects.create(owner=owner, chat_id=chat, written_at=written_at)
    except IntegrityError:  # Made by another request in the same instant.
        return rows.get()


# What spans the apps


async def hand_over(guest: User, account: User, last: bool) -> None:
    await sync_to_async(_hand_over)(guest, account)


def _hand_over(guest: User, account: User) -> None:
    """Each draft goes along; where the account has one in that place, the later one stays."""
    with transaction.atomic():
        for draft in Draft.objects.select_for_update().filter(owner=guest):
            there = Draft.objects.select_for_update().filter(owner=account, chat=draft.chat_id)
            if other := there.first():
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
    if found := await sync_to_async(_exported)(person):
        yield ExportFile("drafts.json", _once(found))


def _exported(person: User) -> bytes | None:
    """[{chat, text, pastes, written_at}], what was written last first; None if there are none."""
    rows = [
        {
            "chat": draft.chat_id,
            "text": draft.text,
            "pastes": draft.pastes,
            "written_at": draft.written_at,
        }
        for draft in _written(person)
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n" if rows else None


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


personal_data = PersonalData("drafts", hand_over, erase, in_use, export)
