"""What staff does about money: give and take credit, refund a payment. Sync.

Each act has an id that the form brings along, so that a form sent twice acts once, and is booked
with a reason and the name of whoever did it.
"""

import logging
import uuid

from django.conf import settings

from billing import ledger, stripe_api, top_ups
from billing.models import LedgerEntry, TopUp

logger = logging.getLogger(__name__)

MAX_REASON_CHARS = 300


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
    """Give (above zero) or take credit. `limited` staff may only give, and so much at once.

    Raises NotAllowed.
    """
    most = settings.STAFF_GIVES_AT_MOST_MICRO_USD
    if limited and not 0 < amount_micro_usd <= most:
        raise NotAllowed("You may give credit up to the limit for support, and take none.")
    entry = ledger.post(
        person_id,
        LedgerEntry.Kind.ADJUSTMENT,
        amount_micro_usd,
        key=f"adjustment:{act_id}:{person_id}",
        reason=reason,
        staff_id=staff_id,
    )
    logger.info("staff %s adjusted %s by %d micro-USD", staff_id, person_id, amount_micro_usd)
    return entry


def refund(
    top_up: TopUp, cents: int, *, act_id: uuid.UUID, reason: str, staff_id: uuid.UUID
) -> TopUp:
    """Give money back by Stripe; the credit follows when Stripe says that it is done.

    Raises NotAllowed, and PaymentError when Stripe refuses or is away.
    """
    left = top_up.total_cents - top_up.refunded_cents
    if top_up.state != TopUp.State.PAID or not 0 < cents <= left:
        raise NotAllowed("There is not so much left of this payment that could be refunded.")
    note = {"staff": str(staff_id), "reason": reason}
    stripe_api.create_refund(top_up.payment_intent_id, cents, act_id=act_id, note=note)
    logger.info("staff %s refunded %d cents of top-up %s", staff_id, cents, top_up.id)
    return top_ups.look(top_up.id)
