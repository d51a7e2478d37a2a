"""The replies that are owed, as workers load them from the database. Sync throughout."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Preferences
from accounts.preferences.store import preferences_of
from chat.models import Reply

# Seconds after which the sweep treats an unfinished step as abandoned.
ABANDONED_AFTER_S = 5
SWEEP_BATCH = 200
MAY_START = Q(waits_for__state__in=Reply.FINAL) | Q(waits_for=None)


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A reply as it was when a worker loaded it, with its chat, its owner and their preferences.

    Ids are strings here, as in events, fences and job keys.
    """

    reply: Reply
    preferences: Preferences

    @property
    def reply_id(self) -> str:
        return str(self.reply.id)

    @property
    def chat_id(self) -> str:
        return str(self.reply.chat_id)

    @property
    def stream(self) -> str:
        return self.reply.chat.owner.stream


def load_order(reply_id: str) -> WorkOrder | None:
    """Load a reply; None if there is nothing to do: it does not exist, has ended, or must wait."""
    replies = Reply.objects.select_related("chat__owner__preferences")
    reply = next(iter(replies.filter(id=uuid.UUID(reply_id))), None)
    if reply is None or reply.is_final or reply.state == Reply.State.WAITING:
        return None
    return _to_order(reply)


def stops_requested(reply_ids: Iterable[str]) -> list[str]:
    """The ids among `reply_ids` whose owners have asked to stop them."""
    stopped = Reply.objects.filter(
        id__in=[uuid.UUID(reply_id) for reply_id in reply_ids], stop_requested_at__isnull=False
    )
    return [str(reply_id) for reply_id in stopped.values_list("id", flat=True)]


def abandoned_orders() -> list[WorkOrder]:
    """Unfinished replies, at most SWEEP_BATCH, whose job or outbox should have been delivered.

    Before that, waiting replies start whose predecessor has ended. Delivering a reply again is
    harmless: the log and the queue ignore repetitions.
    """
    now = timezone.now()
    # A time in the future counts as old: the clock has been set back since.
    is_recent = Q(created_at__range=(now - timedelta(seconds=ABANDONED_AFTER_S), now))
    abandoned = ~is_recent & (Q(state=Reply.State.QUEUED) | Q(outbox__isnull=False))
    replies = _unfinished(abandoned | Q(state=Reply.State.WAITING) & MAY_START)
    if any(reply.state == Reply.State.WAITING and not reply.still_before() for reply in replies):
        with transaction.atomic():
            start_waiting(MAY_START)
        replies = _unfinished(abandoned)
    return [_to_order(reply) for reply in replies]


def _unfinished(condition: Q) -> list[Reply]:
    replies = Reply.objects.select_related("chat__owner__preferences", "waits_for")
    unfinished = replies.filter(condition, finished_at=None)
    return list(unfinished.order_by("created_at")[:SWEEP_BATCH])


def start_waiting(condition: Q) -> list[str]:
    """Let the waiting replies that meet the condition start; returns their ids, oldest first."""
    waiting = Reply.objects.filter(condition, finished_at=None, state=Reply.State.WAITING)
    ids = list(waiting.order_by("created_at").values_list("id", flat=True))
    still_waiting = Reply.objects.filter(id__in=ids, state=Reply.State.WAITING)
    still_waiting.update(state=Reply.State.QUEUED, waits_for=None)
    return [str(reply_id) for reply_id in ids]


def _to_order(reply: Reply) -> WorkOrder:
    return WorkOrder(reply, preferences_of(reply.chat.owner))
