"""The lists of a person's chats, page by page: open, archived and deleted ones."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeGuard, get_args

from django.db.models import Q, QuerySet

from accounts.models import User
from chat.chats import own_chat, undo_until
from chat.errors import BadRequest
from chat.models import Chat, Reply

View = Literal["open", "archived", "deleted"]
PAGE = 100
MAX_PAGE = 500
MAX_PINNED = 200
EPOCH = datetime.fromtimestamp(0, UTC)
# The cursor of the next page: the time of the last row shown, in microseconds, and its id.
_PLACE = re.compile(r"(\d{1,17})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def is_view(name: str) -> TypeGuard[View]:
    return name in get_args(View)


def chat_page(
    owner: User, view: View = "open", before: str | None = None, limit: int = PAGE
) -> dict[str, Any]:
    """{"chats": [...], "next": cursor or None}. The first page also has the pinned chats. Sync.

    Raises BadRequest if `before` is not a cursor.
    """
    chats = Chat.objects.filter(owner=owner)
    first: list[Chat] = []
    match view:
        case "open":
            chats = chats.filter(deleted_at=None, archived_at=None)
            if before is None:
                first = list(chats.exclude(pinned_at=None).order_by("-pinned_at")[:MAX_PINNED])
            chats, order = chats.filter(pinned_at=None), "updated_at"
        case "archived":
            chats, order = chats.filter(deleted_at=None).exclude(archived_at=None), "updated_at"
        case "deleted":
            chats, order = chats.filter(deleted_at__gt=undo_until()), "deleted_at"
    rows = list(_from(chats, before, order).order_by(f"-{order}", "-id")[: limit + 1])
    shown = rows[:limit]
    place = _place(shown[-1], order) if len(rows) > limit else None
    return {"chats": chat_json(first + shown), "next": place}


def chat_row(owner: User, chat_id: uuid.UUID) -> dict[str, Any]:
    """One chat as the lists show it. Raises ChatNotFound. Sync."""
    return chat_json([own_chat(owner, chat_id)])[0]


def _from(chats: QuerySet[Chat], before: str | None, order: str) -> QuerySet[Chat]:
    if before is None:
        return chats
    place = _PLACE.fullmatch(before)
    if place is None:
        raise BadRequest("“before” must be what “next” said.")
    at = EPOCH + timedelta(microseconds=int(place[1]))
    return chats.filter(Q(**{f"{order}__lt": at}) | Q(**{order: at, "id__lt": place[2]}))


def _place(chat: Chat, order: str) -> str:
    at: datetime = getattr(chat, order)
    return f"{(at - EPOCH) // timedelta(microseconds=1)}_{chat.id}"


def chat_json(chats: list[Chat]) -> list[dict[str, Any]]:
    """The chats of a list as docs/protocol.md has them. Sync."""
    unfinished = Reply.objects.filter(
        chat__in=chats, finished_at=None, state__in=[Reply.State.QUEUED, Reply.State.WAITING]
    )
    answering = set(unfinished.values_list("chat_id", flat=True))
    return [
        {
            "id": str(chat.id),
            "title": chat.title,
            "model": chat.model,
            "updated_ms": _ms(chat.updated_at),
            "answering": chat.id in answering,
            "pinned_ms": _ms(chat.pinned_at),
            "archived_ms": _ms(chat.archived_at),
            "deleted_ms": _ms(chat.deleted_at),
            "ended_ms": chat.ended_ms,
            "read_ms": chat.read_ms,
        }
        for chat in chats
    ]


def _ms(at: datetime | None) -> int | None:
    return round(at.timestamp() * 1000) if at else None
