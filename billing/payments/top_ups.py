"""Top-ups: quotes, orders, and refreshing an order's state from Stripe.

A webhook, the person's return from Checkout and the reconciliation all call `refresh`. It reads the
current state from Stripe and writes it into the row and the ledger in one transaction. Nothing is
summed up from events, so their order and repetition do not matter.
"""

import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import User
from billing import ledger
from billing.models.top_ups import TopUp
from billing.payments import stripe_api
from billing.payments.stripe_errors import PaymentError, PaymentRefused, PaymentsUnavailable

logger = logging.getLogger(__name__)

CREDITS_CENTS = (500, 1_000, 2_000, 5_000, 10_000)
FEE_PERCENT = 10
CURRENCY = "usd"
# Concurrent refreshes of one top-up make each other start again, at most this often.
MAX_ATTEMPTS = 12
# A page that waits for a payment reloads; this bounds how often a reload reads from Stripe. Bank
# payments take days, and a page may stay open that long.
REFRESH_AFTER = timedelta(seconds=2)
REFRESH_BANK_PAYMENT_AFTER = timedelta(minutes=1)
# Columns that a refresh may change: never what was ordered, nor by whom.
REFRESHED_FIELDS = (
    "state",
    "session_url",
    "payment_intent_id",
    "charge_id",
    "receipt_url",
    "refunded_cents",
    "disputed_cents",
    "problem",
    "looks",
    "looked_at",
    "paid_at",
)


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of credit, in cents."""

    credit_cents: int
    fee_cents: int

    @property
    def total_cents(self) -> int:
        return self.credit_cents + self.fee_cents


def quote(credit_cents: int) -> Quote:
    """Return the price of this credit. The fee is FEE_PERCENT of it, rounded up to whole cents."""
    return Quote(credit_cents, -(-credit_cents * FEE_PERCENT // 100))


def quotes() -> list[Quote]:
    return [quote(credit) for credit in CREDITS_CENTS]


def order(person_id: uuid.UUID, top_up_id: uuid.UUID, credit_cents: int) -> TopUp | None:
    """Store an order, or return the existing one with this id. None if that is somebody else's or
    has another amount."""
    assert credit_cents in CREDITS_CENTS
    quoted = quote(credit_cents)
    top_up, _ = TopUp.objects.get_or_create(
        id=top_up_id,
        defaults={
            "person_id": person_id,
            "credit_cents": quoted.credit_cents,
            "fee_cents": quoted.fee_cents,
            "total_cents": quoted.total_cents,
            "livemode": stripe_api.is_live(),
            "expires_at": stripe_api.expiry(),
        },
    )
    is_same = top_up.person_id == person_id and top_up.credit_cents == credit_cents
    return top_up if is_same else None


def open_session(top_up: TopUp, *, email: str, success_url: str, cancel_url: str) -> str:
    """The URL of the Checkout page where the order can be paid; "" if it can't be paid any more.

    Safe to repeat after a crash: Stripe returns the same session for the same idempotency key.
    """
    if top_up.session_id is None and not top_up.is_ended:
        session = stripe_api.create_session(
            top_up_id=top_up.id,
            email=email,
            lines=_lines_at_stripe(top_up),
            success_url=success_url,
            cancel_url=cancel_url,
            expires_at=top_up.expires_at,
        )
        TopUp.objects.filter(id=top_up.id, session_id=None).update(
            session_id=session.id, session_url=session.url
        )
        TopUp.objects.filter(id=top_up.id, state=TopUp.State.CREATED).update(state=TopUp.State.OPEN)
        top_up.refresh_from_db()
    return top_up.session_url if top_up.state == TopUp.State.OPEN else ""


def lines(top_up: TopUp) -> list[tuple[str, int]]:
    """Lines of Checkout and of the receipt: (name, cents)."""
    return [
        (_("Holdfast credit"), top_up.credit_cents),
        (_("Processing fee (%(percent)d%%)") % {"percent": FEE_PERCENT}, top_up.fee_cents),
    ]


def _lines_at_stripe(top_up: TopUp) -> list[tuple[str, int]]:
    """The lines for Checkout, always in one language, because Stripe rejects an idempotency key
    with other parameters."""
    with translation.override(settings.LANGUAGE_CODE):
        return lines(top_up)


def refresh(top_up_id: uuid.UUID) -> TopUp:
    """Update a top-up and the ledger to Stripe's current state. Idempotent, also concurrently.

    Raises PaymentsUnavailable, PaymentRefused and TopUp.DoesNotExist.
    """
    for _attempt in range(MAX_ATTEMPTS):
        before = TopUp.objects.get(id=top_up_id)
        if before.session_id is None:
            return _refresh_without_session(before)
        # Outside the transaction, because Stripe may take seconds.
        session = stripe_api.get_session(before.session_id)
        if refreshed := _apply(before, session):
            return refreshed
    raise PaymentsUnavailable


def close_open(person_id: uuid.UUID) -> None:
    """Close the open orders of a person who leaves, so that nobody pays for them. Idempotent.

    Best effort: while Stripe is unavailable, they expire after stripe_api.SESSION_LIFE_S.
    """
    for top_up in _open_of(person_id):
        try:
            with suppress(PaymentRefused):  # The order has just been paid, or has expired.
                stripe_api.expire_session(top_up.session_id or "")
            refresh(top_up.id)
        except PaymentsUnavailable:
            logger.warning("could not close all orders of %s: Stripe is unavailable", person_id)
            return
        except PaymentError as error:
            logger.warning("could not close top-up %s: %s", top_up.id, error.code)


def has_open(person_id: uuid.UUID) -> bool:
    """Whether the person has orders for `close_open` to close."""
    return _open_of(person_id).exists()


def _open_of(person_id: uuid.UUID) -> QuerySet[TopUp]:
    return TopUp.objects.filter(
        person_id=person_id, state=TopUp.State.OPEN, livemode=stripe_api.is_live()
    )


def refresh_if_stale(top_up: TopUp) -> TopUp:
    """Refresh a top-up unless that happened a moment ago. For pages that may be reloaded often."""
    now = timezone.now()
    at_bank = top_up.state == TopUp.State.PROCESSING
    again_after = REFRESH_BANK_PAYMENT_AFTER if at_bank else REFRESH_AFTER
    if top_up.looked_at and now - top_up.looked_at < again_after:
        return top_up
    return refresh(top_up.id)


def _refresh_without_session(top_up: TopUp) -> TopUp:
    """Expire a top-up that never had a Checkout page, once its time is up."""
    if top_up.expires_at < timezone.now():
        TopUp.objects.filter(id=top_up.id, state=TopUp.State.CREATED, session_id=None).update(
            state=TopUp.State.EXPIRED, looked_at=timezone.now()
        )
        top_up.refresh_from_db()
    return top_up


def _apply(before: TopUp, session: stripe_api.Session) -> TopUp | None:
    """Store Stripe's response. None if another refresh was stored since `before` was read."""
    with transaction.atomic():
        top_up = TopUp.objects.select_for_update().get(id=before.id)
        if top_up.looks != before.looks:
            return None
        top_up.looks += 1
        top_up.looked_at = timezone.now()
        top_up.problem = _mismatch(top_up, session)
        if top_up.problem:
            # Nothing is credited or taken back: an operator must look into it.
            logger.error("top-up %s is not credited: %s", top_up.id, top_up.problem)
        else:
            _update_payment(top_up, session)
        top_up.save(update_fields=REFRESHED_FIELDS)
    return top_up


def _mismatch(top_up: TopUp, session: stripe_api.Session) -> str:
    """How the session differs from the order; "" if it does not."""
    expected = {
        "top_up": str(top_up.id),
        "amount_total": top_up.total_cents,
        "currency": CURRENCY,
        "mode": "payment",
        "livemode": top_up.livemode,
        "id": top_up.session_id,
    }
    wrong = [name for name, value in expected.items() if getattr(session, name) != value]
    return f"the session differs in {', '.join(wrong)}" if wrong else ""


def _update_payment(top_up: TopUp, session: stripe_api.Session) -> None:
    top_up.session_url = session.url
    top_up.payment_intent_id = session.payment_intent or top_up.payment_intent_id
    top_up.charge_id = session.charge or top_up.charge_id
    top_up.receipt_url = session.receipt_url or top_up.receipt_url
    if top_up.state != TopUp.State.PAID:
        top_up.state = _state(session)
        if top_up.state == TopUp.State.PAID:
            top_up.paid_at = timezone.now()
            _credit(top_up)
    if top_up.state == TopUp.State.PAID:
        _take_back(top_up, session)


def _state(session: stripe_api.Session) -> TopUp.State:
    if session.payment_status == "paid":
        return TopUp.State.PAID
    if session.status == "expired":
        return TopUp.State.EXPIRED
    if session.status == "complete":
        return TopUp.State.FAILED if session.payment_failed else TopUp.State.PROCESSING
    return TopUp.State.OPEN


def _credit(top_up: TopUp) -> None:
    """Book the payment, less the fee. The keys make this idempotent."""
    name = f"top-up:{top_up.id}"
    _post(top_up, "top_up", top_up.total_micro_usd, key=name)
    _post(top_up, "fee", -top_up.fee_micro_usd, key=f"{name}:fee")
    if not User.objects.filter(id=top_up.person_id, deletion_begun_at=None).exists():
        logger.error("top-up %s was paid after its account was deleted: refund it", top_up.id)


def _take_back(top_up: TopUp, session: stripe_api.Session) -> None:
    """Take back the credit of refunded and disputed money, and restore the credit of failed refunds
    and won disputes."""
    refunded = min(session.refunded_cents, top_up.total_cents)
    disputed = min(session.disputed_cents, top_up.total_cents - refunded)
    refunded_before, disputed_before = _taken(top_up, top_up.refunded_cents, top_up.disputed_cents)
    refunded_now, disputed_now = _taken(top_up, refunded, disputed)
    change = refunded_before - refunded_now
    change -= _post_staff_refunds(top_up, session, refunded - top_up.refunded_cents)
    top_up.refunded_cents, top_up.disputed_cents = refunded, disputed
    _post_change(top_up, "refund", "refund", change)
    _post_change(top_up, "dispute", "dispute_won", disputed_before - disputed_now)


def _post_staff_refunds(top_up: TopUp, session: stripe_api.Session, new_cents: int) -> int:
    """Book each refund made by staff as an entry of its own, with its reason and who made it.

    `new_cents` were refunded since the last refresh. Returns the sum booked, in micro-USD.
    """
    taken, cents = 0, top_up.refunded_cents
    for refund in session.refunds:
        key = f"top-up:{top_up.id}:refund:{refund.id}"
        if not refund.staff_id or refund.cents > new_cents or ledger.is_booked(key):
            continue
        share = top_up.share_micro_usd(cents) - top_up.share_micro_usd(cents + refund.cents)
        new_cents, cents, taken = new_cents - refund.cents, cents + refund.cents, taken + share
        if share:
            note = {"reason": refund.reason, "staff_id": refund.staff_id}
            _post(top_up, "refund", share, key=key, **note)
    return taken


def _taken(top_up: TopUp, refunded: int, disputed: int) -> tuple[int, int]:
    """Credit taken back by refunds and by disputes, in micro-USD."""
    by_refunds = top_up.share_micro_usd(refunded)
    return by_refunds, top_up.share_micro_usd(refunded + disputed) - by_refunds


def _post_change(top_up: TopUp, taking: str, giving: str, micro_usd: int) -> None:
    if micro_usd:
        # The row is locked and `looks` only grows, so no two changes get the same key.
        key = f"top-up:{top_up.id}:{taking}:{top_up.looks}"
        _post(top_up, taking if micro_usd < 0 else giving, micro_usd, key=key)


def _post(top_up: TopUp, kind: str, micro_usd: int, *, key: str, **fields: Any) -> None:
    ledger.post(top_up.person_id, kind, micro_usd, key=key, top_up_id=top_up.id, **fields)
    top_up.booked_micro_usd += micro_usd
