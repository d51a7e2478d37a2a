"""The chores of billing: free credit, the audit, and those of payments."""

import logging
from collections.abc import Iterable
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings

from billing import audit, grants
from billing.payments import chores as payment_chores
from streams.chores import Chore, register

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 300.0


@register
def chores() -> Iterable[Chore]:
    give_free_credit = sync_to_async(grants.give_free_credit)
    return (
        Chore("free-credit", give_free_credit, CHECK_EVERY_S, "free-credit", retry_s=CHECK_EVERY_S),
        Chore(
            "audit",
            _audit_if_due,
            CHECK_EVERY_S,
            lock="audit",
            wake_on=audit.WAKE,
            retry_s=CHECK_EVERY_S,
        ),
        *payment_chores.chores(),
    )


async def _audit_if_due() -> None:
    """Run the audit if it is due. Called under the lock, so an audit by another worker is stored
    before this checks."""
    if not await sync_to_async(audit.is_due)(timedelta(hours=settings.AUDIT_EVERY_HOURS)):
        return
    audit_run = await audit.run()
    for line in audit_run.differences:
        logger.error("the books do not balance: %s", line)
