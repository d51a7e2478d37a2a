"""Suspends a person: ends their sessions, their sockets and all work for them.

1. One transaction marks the row, invalidates all sessions and records the event.
2. After the commit sockets are closed (accounts/sockets.py), and each app ends its work for this
   person (`on_suspended`, filled by the apps above when they start).
"""

import logging
from collections.abc import Callable
from functools import partial

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import sockets
from accounts.models import SecurityEvent, User
from accounts.security_events import record

logger = logging.getLogger(__name__)

# Called with the person after the commit; a second call must be harmless.
on_suspended: list[Callable[[User], None]] = []


def suspend(person: User, operator: User, reason: str) -> bool:
    """Suspend a person; False if they were suspended already. Sync."""
    with transaction.atomic():
        changed = User.objects.filter(id=person.id, suspended_at=None).update(
            is_active=False,
            suspended_at=timezone.now(),
            suspended_reason=reason,
            session_epoch=F("session_epoch") + 1,
        )
        if changed:
            record(person, SecurityEvent.Kind.SUSPENDED, note=reason, operator=operator)
            transaction.on_commit(partial(end_everything, person))
    person.refresh_from_db()
    return bool(changed)


def restore(person: User, operator: User, reason: str) -> bool:
    """Lift a suspension; False if the person was not suspended, or is being erased. Sync.

    Their sessions stay ended, so they sign in again.
    """
    with transaction.atomic():
        suspended = User.objects.filter(id=person.id, suspended_at__isnull=False)
        changed = suspended.filter(deletion_begun_at=None).update(
            is_active=True, suspended_at=None, suspended_reason=""
        )
        if changed:
            record(person, SecurityEvent.Kind.RESTORED, note=reason, operator=operator)
    person.refresh_from_db()
    return bool(changed)


def end_everything(person: User) -> None:
    """End all sockets and work of somebody who may no longer act. Sync."""
    for end in (sockets.recheck_sockets, *on_suspended):
        try:
            end(person)
        except Exception:
            # The others must still be called. Sockets also check with each heartbeat.
            logger.exception("%s failed for person %s", end.__name__, person.id)
