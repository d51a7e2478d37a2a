"""The worker's side of the database: load what is owed, find what got stuck.

Sync throughout; the worker crosses over once at the start and once at the end of an answer.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.preferences.store import preferences_of
from chat.models import Reply

# How old an unfinished step must be before the sweep takes it for abandoned.
ABANDONED_AFTER_S = 5
SWEEP_BATCH = 200


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """One answer that is owed, as the worker needs it."""

    reply: Reply
    owner_id: uuid.UUID
    stream: str
    chat_id: str
    reply_id: str
    prompt_id: str
    model: str
    continued_after_attempt: int | None
    stop_requested: bool
    # Of the owner, for every chat; those for this one are in its log.
    instructions: str = ""
    background_calls: bool = True


def load_order(reply_id: str) -> WorkOrder | None:
    """None when there is nothing to do: no such answer, or it has ended already, or it waits."""
    replies = Reply.objects.select_related("chat__owner__preferences")
    reply = replies.filter(id=uuid.UUID(reply_id)).first()
    if reply is None or reply.is_final or reply.state == Reply.State.WAITING:
        return None
    return _order(reply)


def stops_requested(reply_ids: Iterable[str]) -> list[str]:
    """Which of these answers their owners want to end."""
    found = Reply.objects.filter(
        id__in=[uuid.UUID(reply_id) for reply_id in reply_ids], stop_requested_at__isnull=False
    )
    return [str(reply_id) for reply_id in found.values_list("id", flat=True)]


def abandoned_orders() -> list[WorkOrder]:
    """Unfinished answers that are old enough to have been queued, with their waiting ones freed.

    Telling the log and the queue about them again is harmless: both drop what they know.
    """
    now = timezone.now()
    # One of the future is old: the clock was set back since.
    is_recent = Q(created_at__range=(now - timedelta(seconds=ABANDONED_AFTER_S), now))
    with transaction.atomic():
        start_waiting(Q(waits_for__state__in=Reply.FINAL) | Q(waits_for=None))
    stuck = (
        Reply.objects.select_related("chat__owner__preferences")
        .filter(~is_recent, finished_at=None)
        .filter(Q(state=Reply.State.QUEUED) | Q(outbox__isnull=False))
        .order_by("created_at")[:SWEEP_BATCH]
    )
    return [_order(reply) for reply in stuck]


def start_waiting(which: Q) -> list[str]:
    """Those of the waiting replies are free to begin."""
    waiting = Reply.objects.filter(which, finished_at=None, state=Reply.State.WAITING)
    ids = list(waiting.order_by("created_at").values_list("id", flat=True))
    still = Reply.objects.filter(id__in=ids, state=Reply.State.WAITING)
    still.update(state=Reply.State.QUEUED, waits_for=None)
    return [str(reply_id) for reply_id in ids]


def _order(reply: Reply) -> WorkOrder:
    preferences = preferences_of(reply.chat.owner)
    return WorkOrder(
        reply=reply,
        owner_id=reply.chat.owner_id,
        stream=reply.chat.owner.stream,
        chat_id=str(reply.chat_id),
        reply_id=str(reply.id),
        prompt_id=str(reply.prompt_id),
        model=reply.model,
        continued_after_attempt=reply.continued_after_attempt,
        stop_requested=reply.stop_requested_at is not None,
        instructions=preferences.instructions,
        background_calls=preferences.background_calls,
    )
