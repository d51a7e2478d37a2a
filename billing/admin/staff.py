"""Staff actions on money: give or take credit, refund a payment. Sync.

The form contains the id of the action, so that a form sent twice acts once. An action is booked
with its reason and the member of staff, and recorded in the admin's log. Staff cannot act on
themselves, except a superuser, who may be the only one.
"""

import logging
import uuid
from datetime import timedelta

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import Model, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing import ledger
from billing.models import LedgerEntry, TopUp
from billing.money import MICRO_PER_CENT, dollars
from billing.payments import stripe_api, top_ups
from billing.payments.stripe_errors import PaymentsUnavailable

logger = logging.getLogger(__name__)

MAX_REASON_CHARS = 300
DAY = timedelta(hours=24)


class StaffActionRefused(Exception):
    """The message says what the member of staff may not do."""


def adjust(
    person_id: uuid.UUID,
    amount_micro_usd: int,
    *,
    action_id: uuid.UUID,
    reason: str,
    staff_id: uuid.UUID,
    limited: bool,
) -> LedgerEntry:
    """Give (positive) or take (negative) credit. Idempotent for `action_id` and person.

    `limited` staff may only give, and not to staff: up to STAFF_GIVES_AT_MOST_MICRO_USD at once and
    STAFF_GIVES_A_DAY_MICRO_USD in any 24 hours, to all people together. Raises StaffActionRefused.
    """
    key = f"adjustment:{action_id}:{person_id}"
    with transaction.atomic():
        person = _require_other(person_id, staff_id)
        if person is None and amount_micro_usd > 0:
            raise StaffActionRefused(_("This person has left, so nobody could use the credit."))
        if limited:
            _require_room(amount_micro_usd, person, staff_id, key)
        purse = ledger.lock_purse(person_id)
        is_new = not ledger.is_booked(key)
        entry = ledger.append(
            purse,
            LedgerEntry.Kind.ADJUSTMENT,
            amount_micro_usd,
            key=key,
            reason=reason,
            staff_id=staff_id,
        )
        if is_new:
            _record(
                staff_id, person or purse, f"Credit {dollars(amount_micro_usd, sign=True)}: {key}"
            )
    logger.info("staff %s adjusted %s by %d micro-USD", staff_id, person_id, amount_micro_usd)
    return entry


def _require_other(person_id: uuid.UUID, staff_id: uuid.UUID) -> User | None:
    """The person concerned; None if they are gone. Raises StaffActionRefused for oneself."""
    person = User.objects.filter(id=person_id).first()
    if person_id == staff_id and not (person and person.is_superuser):
        raise StaffActionRefused(_("You can't do this for yourself. Ask somebody else."))
    return person


def _record(staff_id: uuid.UUID, target: Model, message: str) -> None:
    """Add an entry to the admin's log, without the reason, which only the ledger has."""
    LogEntry.objects.log_actions(staff_id, [target], CHANGE, message, single_object=True)


def given_lately_micro_usd(staff_id: uuid.UUID) -> int:
    """The credit that the member of staff gave in the last 24 hours, in micro-USD."""
    gifts = LedgerEntry.objects.filter(
        kind=LedgerEntry.Kind.ADJUSTMENT,
        staff_id=staff_id,
        amount_micro_usd__gt=0,
        at__gt=timezone.now() - DAY,
    )
    return gifts.aggregate(total=Sum("amount_micro_usd"))["total"] or 0


def _require_room(
    amount_micro_usd: int, person: User | None, staff_id: uuid.UUID, key: str
) -> None:
    """Check the limits, in a transaction. Locks the row of the member of staff, before any purse,
    so that their actions cannot exceed the limit concurrently."""
    if not 0 < amount_micro_usd <= settings.STAFF_GIVES_AT_MOST_MICRO_USD:
        raise StaffActionRefused(
            _("You can give credit up to the limit for support, and can't take any.")
        )
    if person and person.is_staff:
        raise StaffActionRefused(_("They are staff. Ask Finance to do it."))
    if not User.objects.select_for_update().filter(id=staff_id, is_active=True).exists():
        raise StaffActionRefused(_("Your account is no longer active."))
    if ledger.is_booked(key):
        return
    left = settings.STAFF_GIVES_A_DAY_MICRO_USD - given_lately_micro_usd(staff_id)
    if amount_micro_usd > left:
        raise StaffActionRefused(
            _(
                "You can give %(limit)s in 24 hours, and %(left)s of that is left. Ask Finance to "
                "give more."
            )
            % {
                "limit": dollars(settings.STAFF_GIVES_A_DAY_MICRO_USD),
                "left": dollars(max(0, left)),
            }
        )


def refund(
    top_up: TopUp, cents: int, *, action_id: uuid.UUID, reason: str, staff_id: uuid.UUID
) -> TopUp:
    """Refund money through Stripe. The credit is taken back when Stripe reports the refund.

    Raises StaffActionRefused, and PaymentError when Stripe refuses or is unavailable.
    """
    _require_other(top_up.person_id, staff_id)
    records = LogEntry.objects.filter(
        object_id=str(top_up.id), change_message__endswith=str(action_id)
    )
    if records.exists():
        # Stripe keeps idempotency keys for a day; the form may be sent again later.
        return top_ups.refresh(top_up.id)
    # The payment may have been refunded at Stripe, or by a request whose response was lost.
    top_up = top_ups.refresh(top_up.id)
    left = top_up.total_cents - top_up.refunded_cents
    if top_up.state != TopUp.State.PAID or not 0 < cents <= left:
        raise StaffActionRefused(_("That is more than is left to refund of this payment."))
    metadata = {"staff": str(staff_id), "reason": reason}
    try:
        stripe_api.create_refund(
            top_up.payment_intent_id, cents, action_id=action_id, metadata=metadata
        )
    except PaymentsUnavailable as error:
        raise PaymentsUnavailable(
            _(
                "Stripe did not answer, but may have made the refund. Wait a minute, and "
                "look at the payment before you try again."
            )
        ) from error
    _record(staff_id, top_up, f"Refund of {dollars(cents * MICRO_PER_CENT)}: {action_id}")
    logger.info("staff %s refunded %d cents of top-up %s", staff_id, cents, top_up.id)
    return top_ups.refresh(top_up.id)
