"""Topping up: the quote, the order, and looking at what Stripe says has become of it.

Whoever hears of a top-up (a webhook, the person who comes back, the reconciliation) only calls
`look`. It asks Stripe how things stand now and writes that down, row and ledger in one transaction.
So order and repetition of what one hears cannot matter: nothing is added up from events.
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
from billing.money import MICRO_PER_CENT
from billing.payments import stripe_api
from billing.payments.stripe_errors import PaymentError, PaymentRefused, PaymentsAway

logger = logging.getLogger(__name__)

CREDITS_CENTS = (500, 1_000, 2_000, 5_000, 10_000)
FEE_PERCENT = 10
CURRENCY = "usd"
# Looks at one top-up at the same time make each other look again: this often, then later.
TRIES = 12
# Somebody who waits for the payment reloads the page; Stripe is asked this often at most. Banks
# take days, and a page may be left open as long.
LOOK_AGAIN_AFTER = timedelta(seconds=2)
LOOK_AT_BANKS_AFTER = timedelta(minutes=1)
# What a look may change. Never what was ordered, nor by whom.
LOOKED_AT = (
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
    """What credit costs, in cents."""

    credit_cents: int
    fee_cents: int

    @property
    def total_cents(self) -> int:
        return self.credit_cents + self.fee_cents

    @property
    def credit_micro_usd(self) -> int:
        return self.credit_cents * MICRO_PER_CENT

    @property
    def fee_micro_usd(self) -> int:
        return self.fee_cents * MICRO_PER_CENT

    @property
    def total_micro_usd(self) -> int:
        return self.total_cents * MICRO_PER_CENT


def quote(credit_cents: int) -> Quote:
    """The fee is ten percent, a part of a cent counted as one."""
    return Quote(credit_cents, -(-credit_cents * FEE_PERCENT // 100))


def quotes() -> list[Quote]:
    return [quote(credit) for credit in CREDITS_CENTS]


def order(person_id: uuid.UUID, top_up_id: uuid.UUID, credit_cents: int) -> TopUp | None:
    """Note that a person wants this credit; ordering it again gives the first order. None if the
    id names another order: somebody else's, or of another amount."""
    assert credit_cents in CREDITS_CENTS
    asked = quote(credit_cents)
    found, _ = TopUp.objects.get_or_create(
        id=top_up_id,
        defaults={
            "person_id": person_id,
            "credit_cents": asked.credit_cents,
            "fee_cents": asked.fee_cents,
            "total_cents": asked.total_cents,
            "livemode": stripe_api.is_live(),
            "expires_at": stripe_api.expiry(),
        },
    )
    is_same = found.person_id == person_id and found.credit_cents == credit_cents
    return found if is_same else None


def open_session(top_up: TopUp, *, email: str, success_url: str, cancel_url: str) -> str:
    """The address of the page where it can be paid; "" when it cannot be paid any more.

    A crash after Stripe made the session loses nothing: the key gives the same one again.
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
    """What Checkout and the receipt list: (name, cents)."""
    return [
        (_("Holdfast credit"), top_up.credit_cents),
        (_("Processing fee (%(percent)d%%)") % {"percent": FEE_PERCENT}, top_up.fee_cents),
    ]


def _lines_at_stripe(top_up: TopUp) -> list[tuple[str, int]]:
    """In one language: asked again with the same key, Stripe wants the same words."""
    with translation.override(settings.LANGUAGE_CODE):
        return lines(top_up)


def look(top_up_id: uuid.UUID) -> TopUp:
    """Bring a top-up up to what Stripe says now, and the ledger with it. May be repeated, by any
    number of callers at once. Raises PaymentsAway, PaymentRefused, TopUp.DoesNotExist."""
    for _attempt in range(TRIES):
        seen = TopUp.objects.get(id=top_up_id)
        if seen.session_id is None:
            return _look_without_session(seen)
        # Not inside the transaction: Stripe may take seconds.
        session = stripe_api.get_session(seen.session_id)
        if changed := _apply(seen, session):
            return changed
    raise PaymentsAway


def close_open(person_id: uuid.UUID) -> None:
    """Close what somebody who leaves could still pay: it would be credited to nobody. As far as
    Stripe can be reached; by itself it ends after stripe_api.SESSION_LIFE_S. May be repeated."""
    for top_up in _open_of(person_id):
        try:
            with suppress(PaymentRefused):  # It has just been paid, or is over.
                stripe_api.expire_session(top_up.session_id or "")
            look(top_up.id)
        except PaymentsAway:
            logger.warning("not all that %s could pay is closed: Stripe is away", person_id)
            return
        except PaymentError as error:
            logger.warning("top-up %s is not closed: %s", top_up.id, error.code)


def has_open(person_id: uuid.UUID) -> bool:
    """Whether there is something that `close_open` could close."""
    return _open_of(person_id).exists()


def _open_of(person_id: uuid.UUID) -> QuerySet[TopUp]:
    return TopUp.objects.filter(
        person_id=person_id, state=TopUp.State.OPEN, livemode=stripe_api.is_live()
    )


def look_if_stale(top_up: TopUp) -> TopUp:
    """For a page that somebody may load again and again."""
    now = timezone.now()
    at_bank = top_up.state == TopUp.State.PROCESSING
    again_after = LOOK_AT_BANKS_AFTER if at_bank else LOOK_AGAIN_AFTER
    if top_up.looked_at and now - top_up.looked_at < again_after:
        return top_up
    return look(top_up.id)


def _look_without_session(top_up: TopUp) -> TopUp:
    """Nobody was ever shown where to pay: once the time is over, nobody can."""
    if top_up.expires_at < timezone.now():
        TopUp.objects.filter(id=top_up.id, state=TopUp.State.CREATED, session_id=None).update(
            state=TopUp.State.EXPIRED, looked_at=timezone.now()
        )
        top_up.refresh_from_db()
    return top_up


def _apply(seen: TopUp, session: stripe_api.Session) -> TopUp | None:
    """Write down what Stripe said; None when another look was written since `seen`."""
    with transaction.atomic():
        top_up = TopUp.objects.select_for_update().get(id=seen.id)
        if top_up.looks != seen.looks:
            return None
        top_up.looks += 1
        top_up.looked_at = timezone.now()
        top_up.problem = _mismatch(top_up, session)
        if top_up.problem:
            # Nothing is credited, and nothing is taken back: a person must look into it.
            logger.error("top-up %s is not credited: %s", top_up.id, top_up.problem)
        else:
            _take_over(top_up, session)
        top_up.save(update_fields=LOOKED_AT)
    return top_up


def _mismatch(top_up: TopUp, session: stripe_api.Session) -> str:
    """Why this session is not the one we made for this top-up; "" when it is."""
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


def _take_over(top_up: TopUp, session: stripe_api.Session) -> None:
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
    """What was paid, less the fee. The keys make it happen once, whatever happens here."""
    name = f"top-up:{top_up.id}"
    _post(top_up, "top_up", top_up.total_micro_usd, key=name)
    _post(top_up, "fee", -top_up.fee_micro_usd, key=f"{name}:fee")
    if not User.objects.filter(id=top_up.person_id, deletion_begun_at=None).exists():
        logger.error("top-up %s was paid for somebody who has left: refund it", top_up.id)


def _take_back(top_up: TopUp, session: stripe_api.Session) -> None:
    """Credit follows the money: what was refunded or is disputed is taken back in its share, and
    what comes back (a refund that failed, a dispute that was won) is given again."""
    refunded = min(session.refunded_cents, top_up.total_cents)
    disputed = min(session.disputed_cents, top_up.total_cents - refunded)
    refunded_before, disputed_before = _taken(top_up, top_up.refunded_cents, top_up.disputed_cents)
    refunded_now, disputed_now = _taken(top_up, refunded, disputed)
    change = refunded_before - refunded_now
    change -= _post_acts_of_staff(top_up, session, refunded - top_up.refunded_cents)
    top_up.refunded_cents, top_up.disputed_cents = refunded, disputed
    _post_change(top_up, "refund", "refund", change)
    _post_change(top_up, "dispute", "dispute_won", disputed_before - disputed_now)


def _post_acts_of_staff(top_up: TopUp, session: stripe_api.Session, new_cents: int) -> int:
    """Refunds that staff made here, each an entry of its own with the reason and who it was; gives
    what these entries took, in micro-USD. `new_cents` is what was refunded since the last look."""
    taken, cents = 0, top_up.refunded_cents
    for refund in session.refunds:
        key = f"top-up:{top_up.id}:refund:{refund.id}"
        if not refund.staff_id or refund.cents > new_cents or ledger.is_booked(key):
            continue
        share = top_up.share_micro_usd(cents) - top_up.share_micro_usd(cents + refund.cents)
        new_cents, cents, taken = new_cents - refund.cents, cents + refund.cents, taken + share
        if share:
            said = {"reason": refund.reason, "staff_id": refund.staff_id}
            _post(top_up, "refund", share, key=key, **said)
    return taken


def _taken(top_up: TopUp, refunded: int, disputed: int) -> tuple[int, int]:
    """What of the credit is gone by refunds and by disputes, in micro-USD."""
    by_refunds = top_up.share_micro_usd(refunded)
    return by_refunds, top_up.share_micro_usd(refunded + disputed) - by_refunds


def _post_change(top_up: TopUp, taking: str, giving: str, micro_usd: int) -> None:
    if micro_usd:
        # This row is locked and `looks` only grows: no two changes have the same name.
        key = f"top-up:{top_up.id}:{taking}:{top_up.looks}"
        _post(top_up, taking if micro_usd < 0 else giving, micro_usd, key=key)


def _post(top_up: TopUp, kind: str, micro_usd: int, *, key: str, **said: Any) -> None:
    ledger.post(top_up.person_id, kind, micro_usd, key=key, top_up_id=top_up.id, **said)
    top_up.booked_micro_usd += micro_usd
