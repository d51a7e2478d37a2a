"""Settling: the end of a reply's row and the charges for its attempts, in one transaction."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from billing import holds
from billing.models import Usage
from billing.token_usage import TokenUsage
from chat.charging import pricing
from chat.charging.attempts import Attempt
from chat.llm.endpoints import Model
from chat.models import Chat, Reply
from chat.work_orders import WorkOrder, start_waiting


def settle(
    order: WorkOrder,
    state: Reply.State,
    attempts: Sequence[Attempt],
    model: Model | None = None,
    ended_ms: int = 0,
    error_code: str = "",
) -> list[str]:
    """End a reply's row in `state` and charge for it; returns the ids of replies that may start.

    These are the replies that waited for this one, or the reply itself, if its owner asked to
    continue it after `order` was loaded: then this is not its end. `attempts`: all attempts, by the
    log; `ended_ms`: the time of the log entry of the end. A reply that was cancelled before its
    first attempt leaves nothing unread. A repetition changes nothing.
    """
    reply = Reply.objects.filter(id=order.reply.id)
    now = timezone.now()
    unread_from_ms = ended_ms if attempts else 0
    with transaction.atomic():
        # The update locks the chat, before anything else.
        if not Chat.objects.filter(id=order.reply.chat_id).update(
            updated_at=now, search_due_at=now, ended_ms=Greatest(F("ended_ms"), unread_from_ms)
        ):
            return []  # Its owner was erased; the sweep of holds releases the hold.
        unfinished = reply.exclude(state__in=Reply.FINAL)
        same_request = Q(continued_after_attempt=order.reply.continued_after_attempt)
        has_ended = unfinished.filter(same_request).update(
            state=state,
            attempts=attempts[-1].number if attempts else 0,
            finished_at=now,
            error_code=error_code,
            outbox=None,
            project_instructions="",
        )
        continues = not has_ended and unfinished.exists()
        charge(order.reply, attempts, model, last=not continues)
        if continues:
            return [order.reply_id]
        return start_waiting(Q(waits_for_id=order.reply.id))


def charge(
    reply: Reply, attempts: Sequence[Attempt], model: Model | None, *, last: bool = False
) -> None:
    """Charge for each attempt that is not charged yet; with `last`, close the hold."""
    free = pricing.free_reason(model) if model else pricing.free_by_name(reply.model)
    for attempt in attempts:
        call = pricing.call_of(reply, attempt.number, attempt.model or reply.model, free)
        holds.charge(call, attempt.usage, last=last and attempt is attempts[-1])
    if last and not attempts:
        holds.release(holds.answer_key(reply.id))


def charge_before_next(
    reply: Reply, attempts: Sequence[Attempt], model: Model | None
) -> dict[int, TokenUsage]:
    """Charge for the attempts before another one takes over the hold; returns the booked usage by
    number of the attempt."""
    charge(reply, attempts, model)
    rows = Usage.objects.filter(reply_id=reply.id)
    return {row.attempt: TokenUsage.from_row(row) for row in rows}
