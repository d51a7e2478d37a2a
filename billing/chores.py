"""What must be done about money now and then. The worker calls `run` with every sweep."""

import logging
import time
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from billing import audit, grants
from billing.models import AuditRun
from billing.payments import chores as payment_chores
from streams.lock import run_exclusively

logger = logging.getLogger(__name__)

ASK_EVERY_S = 300.0

_ask_at = 0.0


async def run() -> None:
    """Everything here may be repeated; the free credit and the audit are one worker's at a time."""
    global _ask_at
    await payment_chores.run()
    if time.monotonic() < _ask_at:
        return
    _ask_at = time.monotonic() + ASK_EVERY_S
    await run_exclusively("free-credit", sync_to_async(grants.give_free_credit))
    # Asked again when the turn is ours: another worker may just have ended its own.
    if await sync_to_async(_audit_is_due)():
        await run_exclusively("audit", _audit_if_due)


async def _audit_if_due() -> None:
    if not await sync_to_async(_audit_is_due)():
        return
    found = await audit.run()
    for line in found.differences:
        logger.error("the books do not balance: %s", line)


def _audit_is_due() -> bool:
    since = timezone.now() - timedelta(hours=settings.AUDIT_EVERY_HOURS)
    return not AuditRun.objects.filter(started_at__gte=since).exists()
