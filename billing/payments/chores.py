"""What must be done about payments now and then. The worker calls `run` with every sweep."""

import time
from collections.abc import Callable

from asgiref.sync import sync_to_async
from django.db import connections

from billing.payments import receipts, reconciliation, stripe_api

# Asking whether the reconciliation is due is a write; often enough for an interval of minutes.
ASK_EVERY_S = 15.0

_ask_at = 0.0


async def run() -> None:
    """Everything here may be repeated, and done by two workers at once."""
    global _ask_at
    if not stripe_api.enabled():
        return
    await apart(receipts.mail_owed)
    if time.monotonic() >= _ask_at:
        _ask_at = time.monotonic() + ASK_EVERY_S
        await apart(reconciliation.reconcile_if_due)


async def apart(work: Callable[[], object]) -> None:
    """In a thread of its own: Stripe and mail servers may take seconds, and the worker's other
    business with the database all goes through one thread."""

    def done() -> None:
        try:
            work()
        finally:
            connections.close_all()

    await sync_to_async(done, thread_sensitive=False)()
