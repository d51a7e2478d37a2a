"""Suspending a person: nothing they have open stays open, and nothing of theirs goes on.

1. The row says so and all sessions stop being valid, in one transaction with the record of it.
2. After it has been committed: sockets are told to close (accounts/sockets.py), and each app ends
   what it does for this person (`on_suspended`, filled by the apps above when they start).
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

# Called after the commit, with the person. Must be harmless when called again.
on_suspended: list[Callable[[User], None]] = []


def suspend(person: User, operator: User, reason: str) -> bool:
    """False if the person was suspended already. Sync."""
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
    """False if the person was not suspended, or is being erased. Sessions stay ended: they sign in
    again. Sync."""
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
    """Whatever is open or under way for somebody who may not act any more. Sync."""
    for end in (sockets.recheck_sockets, *on_suspended):
        try:
            end(person)
        except Exception:
            # The others must still be ended. Sockets look for themselves with each heartbeat.
            logger.exception("ending what %s has: %s failed", person.id, end.__name__)
