"""A guest joins an existing account, which takes over the guest's data.

1. `record`, during the sign-in: one transaction adds a GuestJoin row and deactivates the guest.
   From then on no crash prevents the move of the data.
2. `carry_on`, in a worker or in the page that waits for it: each app moves the data it keeps. This
   can be repeated, and two processes may do it at once.
3. Requests of the guest that had begun before step 1 may still add something. So after LATE_S the
   apps move data once more, and only then the guest's log and row are removed.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone

from accounts import personal_data_registry, sockets
from accounts.models import GuestJoin, User

logger = logging.getLogger(__name__)

# Longer than any request lives: an append gives up after 30 s.
LATE_S = 60
# How long a page waits for the chats that are being moved.
PAGE_WAITS_S = 5.0
BATCH = 20


def record(guest: User, account: User) -> bool:
    """Record that the guest joins the account. False if the guest is no longer active. Sync."""
    with transaction.atomic():
        left = User.objects.filter(id=guest.id, is_guest=True, is_active=True)
        if not left.update(is_active=False):
            return False
        GuestJoin.objects.create(guest_id=guest.id, account=account)
        transaction.on_commit(partial(_notify, guest), robust=True)
    return True


def _notify(guest: User) -> None:
    """Close sockets and wake a worker. If it fails, heartbeats and the sweep do it later."""
    sockets.close_guest_sockets(guest)
    sockets.wake_workers("join")


async def carry_on_all() -> None:
    """Take the next steps of each unfinished join. For the worker's sweep."""
    for join in await sync_to_async(_unfinished)():
        try:
            await carry_on(join)
        except Exception:
            # A failure must not hold up the others; the next sweep tries again.
            logger.exception("guest %s could not join yet", join.guest_id)


async def wait_for_joins(account: User) -> None:
    """Wait up to PAGE_WAITS_S until the data of joining guests has been moved."""
    if not getattr(account, "has_joining_guests", True):  # locale.page_people has asked.
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(PAGE_WAITS_S):
            for join in await sync_to_async(_not_moved)(account):
                await carry_on(join)


async def carry_on(join: GuestJoin) -> None:
    """Take all steps of a join that are possible now."""
    guest = await User.objects.filter(id=join.guest_id).afirst()
    if guest is None:
        await sync_to_async(_finish)(join)
    elif join.moved_at is None:
        await _hand_over(guest, join, last=False)
        await GuestJoin.objects.filter(id=join.id, moved_at=None).aupdate(moved_at=timezone.now())
    elif join.moved_at < timezone.now() - timedelta(seconds=LATE_S):
        await _hand_over(guest, join, last=True)
        for personal_data in personal_data_registry.registered():
            await personal_data.erase(guest)
        await sync_to_async(_finish)(join)


async def _hand_over(guest: User, join: GuestJoin, *, last: bool) -> None:
    for personal_data in personal_data_registry.registered():
        await personal_data.hand_over(guest, join.account, last)


def _unfinished() -> list[GuestJoin]:
    joins = GuestJoin.objects.filter(finished_at=None).select_related("account")
    return list(joins.order_by("id")[:BATCH])


def _not_moved(account: User) -> list[GuestJoin]:
    joins = GuestJoin.objects.filter(account=account, moved_at=None, finished_at=None)
    return list(joins.select_related("account").order_by("id"))


def _finish(join: GuestJoin) -> None:
    with transaction.atomic():
        User.objects.filter(id=join.guest_id, is_guest=True).delete()
        GuestJoin.objects.filter(id=join.id).update(finished_at=timezone.now())
