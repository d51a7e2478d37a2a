"""The lists of a person's chats, page by page: open, archived and deleted ones."""

import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeGuard, get_args

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from accounts.models import User
from chat.chats import undo_until
from chat.errors import BadRequest, ChatNotFound
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


def project_page(
    owner: User, project_id: uuid.UUID, before: str | None = None, limit: int = PAGE
) -> dict[str, Any]:
    """Like `chat_page`, for the open chats of a project; pinned ones are among the others. Sync."""
    chats = Chat.objects.filter(
        owner=owner, project=project_id, deleted_at=None, archived_at=None, is_temporary=False
    )
    page = _from(chats, before, "updated_at").order_by("-updated_at", "-id")[: limit + 1]
    return _to_page([], list(_with_answering(page)), "updated_at", limit)


def chat_page(
    owner: User, view: View = "open", before: str | None = None, limit: int = PAGE
) -> dict[str, Any]:
    """{"chats": [...], "next": cursor or None}. The first page also has the pinned chats. Sync.

    Raises BadRequest if `before` is not a cursor.
    """
    chats = Chat.objects.filter(owner=owner, is_temporary=False)
    match view:
        case "open":
            chats = chats.filter(deleted_at=None, archived_at=None)
            if before is None:
                listed = Chat.objects.filter(_first(chats, limit), owner=owner)
                first, rest = _split(_with_answering(listed))
                return _to_page(first, rest, "updated_at", limit)
            chats, order = chats.filter(pinned_at=None), "updated_at"
        case "archived":
            chats, order = chats.filter(deleted_at=None).exclude(archived_at=None), "updated_at"
        case "deleted":
            chats, order = chats.filter(deleted_at__gt=undo_until()), "deleted_at"
    page = _from(chats, before, order).order_by(f"-{order}", "-id")[: limit + 1]
    return _to_page([], list(_with_answering(page)), order, limit)


def first_page_and(owner: User, chat_id: uuid.UUID) -> tuple[dict[str, Any], Chat]:
    """The first page of the open chats, and a chat of this owner; if that is not on the page, it
    follows at the end, with "is_alone". One query. Raises ChatNotFound. Sync."""
    open_chats = Chat.objects.filter(
        owner=owner, deleted_at=None, archived_at=None, is_temporary=False
    )
    own = Q(id=chat_id, deleted_at=None)
    chosen = Chat.objects.filter(_first(open_chats, PAGE) | own, owner=owner)
    chats = list(_with_answering(chosen))
    shown = next((chat for chat in chats if chat.id == chat_id), None)
    if shown is None:
        raise ChatNotFound
    listed = (chat for chat in chats if chat.archived_at is None and not chat.is_temporary)
    first, rest = _split(listed)
    listing = _to_page(first[:MAX_PINNED], rest[: PAGE + 1], "updated_at", PAGE)
    if all(row["id"] != str(chat_id) for row in listing["chats"]):
        listing["chats"].append(_chat_json(shown) | {"is_alone": True})
    return listing, shown


def _first(open_chats: QuerySet[Chat], limit: int) -> Q:
    """Selects the pinned chats, and the first of the others, with one more than the limit. Filter
    by owner as well: PostgreSQL uses no index for an OR of two queries."""
    pinned = open_chats.exclude(pinned_at=None).order_by("-pinned_at")[:MAX_PINNED]
    others = open_chats.filter(pinned_at=None).order_by("-updated_at", "-id")[: limit + 1]
    return Q(id__in=pinned.values("id")) | Q(id__in=others.values("id"))


def _split(chats: Iterable[Chat]) -> tuple[list[Chat], list[Chat]]:
    """The pinned chats and the others, each in the order of the list."""
    first: list[Chat] = []
    rest: list[Chat] = []
    for chat in chats:
        (first if chat.pinned_at else rest).append(chat)
    first.sort(key=lambda chat: chat.pinned_at or EPOCH, reverse=True)
    rest.sort(key=lambda chat: (chat.updated_at, chat.id), reverse=True)
    return first, rest


def _to_page(first: list[Chat], rest: list[Chat], order: str, limit: int) -> dict[str, Any]:
    shown = rest[:limit]
    place = _place(shown[-1], order) if len(rest) > limit else None
    return {"chats": [_chat_json(chat) for chat in first + shown], "next": place}


def chat_row(owner: User, chat_id: uuid.UUID) -> dict[str, Any]:
    """One chat as the lists show it. Raises ChatNotFound. Sync."""
    chat = _with_answering(Chat.objects.filter(id=chat_id, owner=owner, deleted_at=None)).first()
    if chat is None:
        raise ChatNotFound
    return _chat_json(chat)


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


def chat_json(chats: QuerySet[Chat]) -> list[dict[str, Any]]:
    """The chats as docs/protocol.md has those of a list. Sync."""
    return [_chat_json(chat) for chat in _with_answering(chats)]


def _with_answering(chats: QuerySet[Chat]) -> QuerySet[Chat, Any]:
    """Adds `is_answering`: whether an answer is being written. All unfinished replies are few."""
    unfinished = Reply.objects.filter(
        finished_at=None, state__in=[Reply.State.QUEUED, Reply.State.WAITING]
    )
    is_answering = Q(id__in=unfinished.values("chat_id"))
    return chats.annotate(is_answering=ExpressionWrapper(is_answering, BooleanField()))


def _chat_json(chat: Any) -> dict[str, Any]:
    """A chat of a list as docs/protocol.md has it. Sync."""
    row: dict[str, Any] = {
        "id": str(chat.id),
        "title": chat.title,
        "model": chat.model,
        "updated_ms": _ms(chat.updated_at),
        "answering": chat.is_answering,
        "pinned_ms": _ms(chat.pinned_at),
        "archived_ms": _ms(chat.archived_at),
        "deleted_ms": _ms(chat.deleted_at),
        "ended_ms": chat.ended_ms,
        "read_ms": chat.read_ms,
    }
    if chat.project_id is not None:
        row["project"] = str(chat.project_id)
    return row | {"temporary": True} if chat.is_temporary else row


def _ms(at: datetime | None) -> int | None:
    return round(at.timestamp() * 1000) if at else None
