"""What staff does about money: give and take credit, refund a payment. Sync.

Each act has an id that the form brings along, so that a form sent twice acts once; it is booked
with a reason and the name of whoever did it, and noted in the admin's own log. Nobody acts on
themselves, but for a superuser, who may be alone.
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
from billing.payments.stripe_errors import PaymentsAway

logger = logging.getLogger(__name__)

MAX_REASON_CHARS = 300
DAY = timedelta(hours=24)


class NotAllowed(Exception):
    """A sentence that says what the member of staff may not do."""


def adjust(
    person_id: uuid.UUID,
    amount_micro_usd: int,
    *,
    act_id: uuid.UUID,
    reason: str,
    staff_id: uuid.UUID,
    limited: bool,
) -> LedgerEntry:
    """Give (above zero) or take credit. `limited` staff may only give, so much at once and so much
    in any 24 hours, all people together, and nothing to staff.

    Raises NotAllowed.
    """
    key = f"adjustment:{act_id}:{person_id}"
    with transaction.atomic():
        person = _require_other(person_id, staff_id)
        if person is None and amount_micro_usd > 0:
            raise NotAllowed(_("They are gone: nobody could use the credit."))
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
            _note(
                staff_id, person or purse, f"Credit {dollars(amount_micro_usd, sign=True)}: {key}"
            )
    logger.info("staff %s adjusted %s by %d micro-USD", staff_id, person_id, amount_micro_usd)
    return entry


def _require_other(person_id: uuid.UUID, staff_id: uuid.UUID) -> User | None:
    """Whom it is about; None if they are gone."""
    person = User.objects.filter(id=person_id).first()
    if person_id == staff_id and not (person and person.is_superuser):
        raise NotAllowed(_("This is your own. Ask somebody else to do it."))
    return person


def _note(staff_id: uuid.UUID, about: Model, message: str) -> None:
    """In the log of the admin; the reason is in the ledger alone, which names both."""
    LogEntry.objects.log_actions(staff_id, [about], CHANGE, message, single_object=True)


def given_lately_micro_usd(staff_id: uuid.UUID) -> int:
    """What this member of staff gave in the last 24 hours."""
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
    """In a transaction. Acts of one member of staff come one after the other from here on: their
    own row is locked, before any purse."""
    if not 0 < amount_micro_usd <= settings.STAFF_GIVES_AT_MOST_MICRO_USD:
        raise NotAllowed(_("You may give credit up to the limit for support, and take none."))
    if person and person.is_staff:
        raise NotAllowed(_("They are staff. Ask Finance to do it."))
    if not User.objects.select_for_update().filter(id=staff_id, is_active=True).exists():
        raise NotAllowed(_("Your account is not active any more."))
    if ledger.is_booked(key):
        return
    left = settings.STAFF_GIVES_A_DAY_MICRO_USD - given_lately_micro_usd(staff_id)
    if amount_micro_usd > left:
        raise NotAllowed(
            _(
                "You may give %(limit)s in 24 hours, and %(left)s of that is left. Ask Finance to "
                "give more."
            )
            % {
                "limit": dollars(settings.STAFF_GIVES_A_DAY_MICRO_USD),
                "left": dollars(max(0, left)),
            }
        )


def refund(
    top_up: TopUp, cents: int, *, act_id: uuid.UUID, reason: str, staff_id: uuid.UUID
) -> TopUp:
    """Give money back by Stripe; the credit follows when Stripe says that it is done.

    Raises NotAllowed, and PaymentError when Stripe refuses or is away.
    """
    _require_other(top_up.person_id, staff_id)
    notes = LogEntry.objects.filter(object_id=str(top_up.id), change_message__endswith=str(act_id))
    if notes.exists():
        # Stripe knows a repetition for a day only; a form may be sent again after that.
        return top_ups.look(top_up.id)
    # It may have been refunded at Stripe, or by a try that was not answered.
    top_up = top_ups.look(top_up.id)
    left = top_up.total_cents - top_up.refunded_cents
    if top_up.state != TopUp.State.PAID or not 0 < cents <= left:
        raise NotAllowed(_("There is not so much left of this payment that could be refunded."))
    note = {"staff": str(staff_id), "reason": reason}
    try:
        stripe_api.create_refund(top_up.payment_intent_id, cents, act_id=act_id, note=note)
    except PaymentsAway as error:
        raise PaymentsAway(
            _(
                "Stripe did not answer, and may have refunded it all the same. Wait a minute, and "
                "look at the payment before you try again."
            )
        ) from error
    _note(staff_id, top_up, f"Refund of {dollars(cents * MICRO_PER_CENT)}: {act_id}")
    logger.info("staff %s refunded %d cents of top-up %s", staff_id, cents, top_up.id)
    return top_ups.look(top_up.id)
