"""What no webhook told us of: payments, refunds and disputes found by asking Stripe now and then.

A webhook may be lost (a wrong address, a secret that was changed, an outage longer than Stripe's
three days of trying). Two questions find everything: how are the top-ups that we wait for, and what
happened at Stripe since the last time (Stripe keeps events for 30 days).
"""

import logging
import uuid
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from billing.models.top_ups import StripeReconciliation, TopUp
from billing.payments import stripe_api, stripe_webhooks, top_ups
from billing.payments.stripe_errors import KeyRefused, PaymentError, PaymentRefused, PaymentsAway

logger = logging.getLogger(__name__)

# A top-up that has just been begun is left to its webhook and to the person who comes back.
YOUNG = timedelta(minutes=2)
EVENTS_KEPT = timedelta(days=29)


def reconcile_if_due() -> int | None:
    """Take the turn, unless a worker has it or it is not due; see `reconcile`. Sync."""
    if not stripe_api.enabled():
        return None
    begun = timezone.now()
    due = begun - timedelta(minutes=settings.STRIPE_RECONCILE_MINUTES)
    state, _ = StripeReconciliation.objects.get_or_create(id=StripeReconciliation.SINGLE_ID)
    taken = StripeReconciliation.objects.filter(
        Q(begun_at=None) | Q(begun_at__lte=due), id=state.id
    ).update(begun_at=begun)
    if not taken:
        return None
    try:
        return reconcile(begun)
    except PaymentError as error:
        logger.warning("the reconciliation goes on with its next turn: %s", error.code)
        return None


def reconcile(begun: datetime | None = None) -> int:
    """Look at every top-up that may have changed; gives how many have. May be repeated."""
    begun = begun or timezone.now()
    state, _ = StripeReconciliation.objects.get_or_create(id=StripeReconciliation.SINGLE_ID)
    # These first: a key that may not read events still finds who has paid.
    awaited = _awaited(begun)
    looked = _look_at(awaited)
    looked += _look_at(_told_of(state.done_until, begun) - awaited)
    changed = looked.count(True)
    if changed:
        logger.warning("reconciliation: %s top-ups had changed without a webhook", changed)
    if None not in looked:
        StripeReconciliation.objects.filter(id=state.id).update(done_until=begun)
    return changed


def _awaited(now: datetime) -> set[uuid.UUID]:
    """Those of the other mode cannot be asked after with this key."""
    waiting = TopUp.objects.exclude(state__in=TopUp.ENDED).filter(
        created_at__lt=now - YOUNG, livemode=stripe_api.is_live()
    )
    return set(waiting.values_list("id", flat=True))


def _told_of(done_until: datetime | None, now: datetime) -> set[uuid.UUID]:
    """What events name since then; where Stripe has some no longer, all that was ever paid. But not
    what was looked at later: one that cannot be looked at has no other looked at in each turn."""
    kept_since = now - EVENTS_KEPT
    told: dict[uuid.UUID, datetime] = {}
    since = kept_since
    if done_until is None or done_until < kept_since:
        paid = TopUp.objects.filter(state=TopUp.State.PAID, livemode=stripe_api.is_live())
        told = dict.fromkeys(paid.values_list("id", flat=True), kept_since)
    else:
        since = done_until - StripeReconciliation.OVERLAP
    for event in stripe_api.events_since(since, list(stripe_webhooks.TYPES)):
        if top_up_id := stripe_webhooks.top_up_of(event):
            at = datetime.fromtimestamp(event.created, UTC) + StripeReconciliation.OVERLAP
            told[top_up_id] = max(at, told.get(top_up_id, at))
    looked = dict(TopUp.objects.filter(id__in=told).values_list("id", "looked_at"))
    return {one for one, at in told.items() if (seen := looked.get(one)) is None or seen < at}


def _look_at(ids: set[uuid.UUID]) -> list[bool | None]:
    """Whether the money of each has changed; None if that is not known, and must be asked again."""
    return [_look(top_up_id) for top_up_id in sorted(ids)]


def _look(top_up_id: uuid.UUID) -> bool | None:
    """One that cannot be looked at keeps no other, unless Stripe is away."""
    before = _money(top_up_id)
    try:
        top_ups.look(top_up_id)
    except PaymentsAway:
        raise
    except KeyRefused:
        logger.warning("top-up %s could not be looked at: the key may not do that", top_up_id)
        return None
    except PaymentRefused:
        logger.warning("top-up %s could not be looked at: Stripe does not know it", top_up_id)
    except Exception:
        logger.exception("top-up %s could not be looked at", top_up_id)
        return None
    return before != _money(top_up_id)


def _money(top_up_id: uuid.UUID) -> tuple[object, ...]:
    rows = TopUp.objects.filter(id=top_up_id)
    return rows.values_list("state", "refunded_cents", "disputed_cents").get()
