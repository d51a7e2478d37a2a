"""What owners think of answers: a thumb up or down.

The log decides, as for every change of a chat (chat/chats.py). The row follows it, so that the
operator can count the ratings of each model and day without reading a log. A count has neither text
nor people, and ends with the chat.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Count, F, Q

from accounts.models import User
from chat import events as ev
from chat.chats import ChangeId, append_within, own_chat
from chat.errors import MessageNotFound
from chat.models import Rating, Reply
from streams.cursors import entry_ms, is_after

UP = Count("pk", filter=Q(rating=Rating.Value.UP))
DOWN = Count("pk", filter=Q(rating=Rating.Value.DOWN))


async def rate(
    owner: User,
    chat_id: uuid.UUID,
    reply_id: uuid.UUID,
    rating: ev.Rating,
    change_id: ChangeId = None,
) -> None:
    """Rate an answer; "none" takes the rating back. A repetition undoes no later change.

    The answer need not have ended: its row says so only some time after the page has shown the end.
    Raises ChatNotFound, MessageNotFound, StorageFull, StorageBusy.
    """
    await sync_to_async(_require_answer)(owner, chat_id, reply_id)
    event = ev.MessageRated(message=str(reply_id), rating=rating)
    event_id = f"{chat_id}:rating:{reply_id}:{change_id or uuid.uuid4()}"
    entry = await append_within(owner, chat_id, event, event_id)
    await sync_to_async(_put)(reply_id, rating, entry)


def _require_answer(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> None:
    if not own_chat(owner, chat_id).replies.filter(id=reply_id).exists():
        raise MessageNotFound


def _put(reply_id: uuid.UUID, rating: ev.Rating, entry: str) -> None:
    with transaction.atomic():
        # The lock decides between two ratings at once, of which the later entry must win.
        if Reply.objects.select_for_update().filter(id=reply_id).only("id").first() is None:
            return  # The chat was erased meanwhile.
        known = Rating.objects.filter(reply_id=reply_id).first()
        if known is None or is_after(entry, known.entry):
            day = datetime.fromtimestamp(entry_ms(entry) / 1000, UTC).date()
            row = {"rating": rating, "entry": entry, "day": day}
            Rating.objects.update_or_create(reply_id=reply_id, defaults=row)


@dataclass(frozen=True, slots=True)
class RatingCount:
    """How often the answers of one model were rated, in a range of days or on one day."""

    model: str
    up: int
    down: int
    day: date | None = None

    @property
    def total(self) -> int:
        return self.up + self.down

    @property
    def percent_up(self) -> int:
        return round(100 * self.up / self.total)


def count_ratings(first: date, last: date) -> tuple[list[RatingCount], list[RatingCount]]:
    """The counts of each model, the most often rated first, and those of each day and model, the
    latest first. Days are UTC, both ends inclusive. Sync."""
    rated = Rating.objects.filter(day__gte=first, day__lte=last)
    rated = rated.exclude(rating=Rating.Value.NONE).order_by()
    named = rated.values(model=F("reply__model")).annotate(up=UP, down=DOWN)
    of_models = [RatingCount(**row) for row in named.order_by("model")]
    by_day = rated.values("day", model=F("reply__model")).annotate(up=UP, down=DOWN)
    of_days = [RatingCount(**row) for row in by_day.order_by("-day", "model")]
    return sorted(of_models, key=lambda count: -count.total), of_days
