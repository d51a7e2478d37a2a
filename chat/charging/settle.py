"""The end of an answer in the database: its row, and what it costs, in one transaction."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from billing import holds
from billing.audit import used_of
from billing.models import Usage
from billing.prices.versions import Used
from chat.charging import pricing
from chat.charging.attempts import Attempt
from chat.llm.endpoints import Model
from chat.models import Chat, Reply
from chat.work_orders import WorkOrder, start_waiting


def settle(
    order: WorkOrder,
    state: Reply.State,
    tried: Sequence[Attempt],
    model: Model | None = None,
    ended_ms: int = 0,
) -> list[str]:
    """Note the end of an answer and charge for it; gives the replies that may start now.

    Those are the ones that waited for it, or itself, when its owner has asked to continue since
    `order` was loaded: this end is then not the end. `tried`: its attempts, by the log; `ended_ms`:
    the time of the entry that says so. One that was cancelled before its first attempt leaves
    nothing to be read. Running it twice changes nothing the second time.
    """
    reply = Reply.objects.filter(id=order.reply.id)
    with transaction.atomic():
        if not Chat.objects.select_for_update().filter(id=order.reply.chat_id).exists():
            return []  # Its owner has left; the sweep of holds gives back what is held.
        unfinished = reply.exclude(state__in=Reply.FINAL)
        unfinished.filter(continued_after_attempt=order.reply.continued_after_attempt).update(
            state=state,
            attempts=tried[-1].number if tried else 0,
            finished_at=timezone.now(),
            outbox=None,
        )
        now = timezone.now()
        told_ms = ended_ms if tried else 0
        Chat.objects.filter(id=order.reply.chat_id).update(
            updated_at=now, search_due_at=now, ended_ms=Greatest(F("ended_ms"), told_ms)
        )
        goes_on = unfinished.exists()
        charge(order.reply, tried, model, last=not goes_on)
        if goes_on:
            return [order.reply_id]
        return start_waiting(Q(waits_for_id=order.reply.id))


def charge(
    reply: Reply, tried: Sequence[Attempt], model: Model | None, *, last: bool = False
) -> None:
    """Settle each attempt that is not settled yet; with `last` give back what is still held."""
    free = pricing.free_reason(model) if model else pricing.free_by_name(reply.model)
    for attempt in tried:
        call = pricing.call_of(reply, attempt.number, attempt.model or reply.model, free)
        holds.settle(call, attempt.used, last=last and attempt is tried[-1])
    if last and not tried:
        holds.release(holds.answer_key(reply.id))


def charge_before_next(
    reply: Reply, tried: Sequence[Attempt], model: Model | None
) -> dict[int, Used]:
    """Settle what was tried, before another attempt takes the hold. What the books say of each."""
    charge(reply, tried, model)
    return {row.attempt: used_of(row) for row in Usage.objects.filter(reply_id=reply.id)}
