"""The chores of payments: receipts and the reconciliation with Stripe."""

from collections.abc import Callable, Iterable

from asgiref.sync import sync_to_async
from django.db import connections

from billing.payments import receipts, reconciliation, stripe_api
from streams.chores import Chore

RECEIPTS_EVERY_S = 5.0
# Checking whether the reconciliation is due is a write; its own interval is minutes.
RECONCILE_CHECK_EVERY_S = 15.0


def chores() -> Iterable[Chore]:
    """The two chores, which are never due while payments are off."""
    is_due = stripe_api.enabled
    return (
        Chore("receipts", _mail_receipts, RECEIPTS_EVERY_S, is_due=is_due),
        Chore("reconciliation", _reconcile, RECONCILE_CHECK_EVERY_S, is_due=is_due),
    )


async def _mail_receipts() -> None:
    await apart(receipts.mail_owed)


async def _reconcile() -> None:
    await apart(reconciliation.reconcile_if_due)


async def apart(work: Callable[[], object]) -> None:
    """Run sync `work` in a thread of its own.

    Stripe and mail servers may take seconds, and everything else that a worker does with the
    database goes through one thread.
    """

    def work_and_close() -> None:
        try:
            work()
        finally:
            connections.close_all()

    await sync_to_async(work_and_close, thread_sensitive=False)()
