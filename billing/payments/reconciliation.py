"""Finds payments, refunds and disputes whose webhooks were lost, by polling Stripe.

Webhooks are lost to a wrong address, a changed secret, or an outage longer than the three days for
which Stripe retries. Each run refreshes the top-ups that are not final, and those named by Stripe's
events since the last run (Stripe keeps events for 30 days).
"""

import logging
import uuid
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from billing.models.top_ups import StripeReconciliation, TopUp
from billing.payments import stripe_api, stripe_webhooks, top_ups
from billing.payments.stripe_errors import (
    KeyRefused,
    PaymentError,
    PaymentRefused,
    PaymentsUnavailable,
)

logger = logging.getLogger(__name__)

# Younger top-ups are left to their webhook and to the person's return from Checkout.
YOUNG = timedelta(minutes=2)
EVENTS_KEPT = timedelta(days=29)


def reconcile_if_due() -> int | None:
    """Run `reconcile` unless it is not due or another worker runs it (then None). Sync."""
    if not stripe_api.enabled():
        return None
    begun = timezone.now()
    due = begun - timedelta(minutes=settings.STRIPE_RECONCILE_MINUTES)
    state, _ = StripeReconciliation.objects.get_or_create(id=StripeReconciliation.SINGLE_ID)
    is_ours = StripeReconciliation.objects.filter(
        Q(begun_at=None) | Q(begun_at__lte=due), id=state.id
    ).update(begun_at=begun)
    if not is_ours:
        return None
    try:
        return reconcile(begun)
    except PaymentError as error:
        logger.warning("reconciliation interrupted, the next run continues: %s", error.code)
        return None


def reconcile(begun: datetime | None = None) -> int:
    """Refresh every top-up that may have changed. Returns how many had changed. Idempotent."""
    begun = begun or timezone.now()
    state, _ = StripeReconciliation.objects.get_or_create(id=StripeReconciliation.SINGLE_ID)
    # These come first: a key without permission to read events still finds their payments.
    awaited = _awaited(begun)
    results = _refresh_all(awaited)
    results += _refresh_all(_named_by_events(state.done_until, begun) - awaited)
    changed = results.count(True)
    if changed:
        logger.warning("reconciliation: %s top-ups had changed without a webhook call", changed)
    if None not in results:
        StripeReconciliation.objects.filter(id=state.id).update(done_until=begun)
    return changed


def _awaited(now: datetime) -> set[uuid.UUID]:
    """Top-ups that are not final, in the mode (live or test) of the current key."""
    waiting = TopUp.objects.exclude(state__in=TopUp.ENDED).filter(
        created_at__lt=now - YOUNG, livemode=stripe_api.is_live()
    )
    return set(waiting.values_list("id", flat=True))


def _named_by_events(done_until: datetime | None, now: datetime) -> set[uuid.UUID]:
    """Top-ups named by events since then; all paid ones if Stripe no longer has all those events.

    Leaves out those refreshed after their last event, so that a top-up which cannot be refreshed
    does not make every run refresh the others again.
    """
    kept_since = now - EVENTS_KEPT
    named: dict[uuid.UUID, datetime] = {}
    since = kept_since
    if done_until is None or done_until < kept_since:
        paid = TopUp.objects.filter(state=TopUp.State.PAID, livemode=stripe_api.is_live())
        named = dict.fromkeys(paid.values_list("id", flat=True), kept_since)
    else:
        since = done_until - StripeReconciliation.OVERLAP
    for event in stripe_api.events_since(since, list(stripe_webhooks.TYPES)):
        if top_up_id := stripe_webhooks.top_up_of(event):
            at = datetime.fromtimestamp(event.created, UTC) + StripeReconciliation.OVERLAP
            named[top_up_id] = max(at, named.get(top_up_id, at))
    refreshed = dict(TopUp.objects.filter(id__in=named).values_list("id", "looked_at"))
    return {
        top_up_id
        for top_up_id, at in named.items()
        if (refreshed_at := refreshed.get(top_up_id)) is None or refreshed_at < at
    }


def _refresh_all(ids: set[uuid.UUID]) -> list[bool | None]:
    """For each top-up, whether its money changed; None if the refresh must be retried."""
    return [_refresh(top_up_id) for top_up_id in sorted(ids)]


def _refresh(top_up_id: uuid.UUID) -> bool | None:
    """Refresh one top-up. An error ends the run only if Stripe is unavailable; otherwise the next
    top-up follows."""
    before = _money(top_up_id)
    try:
        top_ups.refresh(top_up_id)
    except PaymentsUnavailable:
        raise
    except KeyRefused:
        logger.warning("could not refresh top-up %s: the key lacks a permission", top_up_id)
        return None
    except PaymentRefused:
        logger.warning("could not refresh top-up %s: Stripe does not know it", top_up_id)
    except Exception:
        logger.exception("could not refresh top-up %s", top_up_id)
        return None
    return before != _money(top_up_id)


def _money(top_up_id: uuid.UUID) -> tuple[object, ...]:
    rows = TopUp.objects.filter(id=top_up_id)
    return rows.values_list("state", "refunded_cents", "disputed_cents").get()
