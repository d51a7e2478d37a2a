"""Removes guests who have not come back for GUEST_IDLE_DAYS, with their log.

Also removes sign-ups whose address nobody has confirmed.
"""

import logging
from datetime import datetime, timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import personal_data_registry
from accounts.models import GuestJoin, User

logger = logging.getLogger(__name__)

BATCH = 100


async def remove_idle_guests() -> int:
    """Remove idle guests; returns how many. Never removes a guest for whom an answer is running."""
    removed = 0
    for guest in await sync_to_async(_idle)():
        if await sync_to_async(_close)(guest):
            for personal_data in personal_data_registry.registered():
                await personal_data.erase(guest)
            await sync_to_async(guest.delete)()
            removed += 1
    if removed:
        logger.info("removed %d idle guests", removed)
    return removed


def remove_unconfirmed() -> int:
    """Remove sign-ups that never led to a sign-in, and so own nothing. Sync."""
    unconfirmed = User.objects.filter(
        is_guest=False,
        last_login=None,
        is_staff=False,
        created_at__lt=_cutoff(),
        emailaddress__isnull=False,
    ).exclude(emailaddress__verified=True)
    return unconfirmed.delete()[1].get("accounts.User", 0)


def _cutoff() -> datetime:
    return timezone.now() - timedelta(days=settings.GUEST_IDLE_DAYS)


def _idle() -> list[User]:
    guests = _idle_guests().exclude(id__in=GuestJoin.objects.values("guest_id"))
    return list(guests.order_by("created_at")[:BATCH])


def _idle_guests() -> QuerySet[User]:
    cutoff = _cutoff()
    guests = User.objects.filter(is_guest=True, created_at__lt=cutoff, suspended_at=None)
    guests = guests.filter(Q(last_login=None) | Q(last_login__lt=cutoff))
    for personal_data in personal_data_registry.registered():
        guests = guests.exclude(id__in=personal_data.in_use(cutoff))
    return guests


def _close(guest: User) -> bool:
    """Deactivate the guest, unless they have come back in the meantime; False then."""
    return bool(
        User.objects.filter(id__in=_idle_guests().filter(id=guest.id)).update(is_active=False)
    )
