"""A guest joins an account that was there before: what the guest has is brought along.

1. `record`, with the sign-in, in one transaction: a GuestJoin row, and the guest can do nothing
   more. From here on the guest's things go to the account whatever crashes.
2. `carry_on`, by a worker (or by the page that is waiting for it): each app hands over what it
   keeps. The apps make that repeatable; two may do it at once.
3. Requests of the guest that had begun before 1 may still add something. So after LATE_S the apps
   are asked once more, and only then the guest's log and row are removed.
"""

import asyncio
import logging
from collections.abc import Callable
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
# How long a page waits for the chats that are on their way to it.
PAGE_WAITS_S = 5.0
BATCH = 20


def record(guest: User, account: User) -> bool:
    """Note that the guest's things go to the account. False if they are on their way already."""
    with transaction.atomic():
        left = User.objects.filter(id=guest.id, is_guest=True, is_active=True)
        if not left.update(is_active=False):
            return False
        GuestJoin.objects.create(guest_id=guest.id, account=account)
        transaction.on_commit(partial(_tell, guest))
    return True


def _tell(guest: User) -> None:
    """Quick words that may get lost; the sweep and the sockets' heartbeat are the sure way."""
    tellers: list[Callable[[], None]] = [
        partial(sockets.close_guest_sockets, guest),
        *personal_data_registry.on_guest_join,
    ]
    for tell in tellers:
        try:
            tell()
        except Exception:
            logger.exception("telling of a join failed; the sweep will find it")


async def carry_on_all() -> None:
    """The next step of each join that is not finished. For the worker's sweep."""
    for join in await sync_to_async(_unfinished)():
        try:
            await carry_on(join)
        except Exception:
            # One that cannot go on must not hold up the others; it is tried again.
            logger.exception("guest %s could not be joined yet", join.guest_id)


async def wait_for_joins(account: User) -> None:
    """Wait, a little, until what guests bring along is there."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PAGE_WAITS_S):
            for join in await sync_to_async(_not_moved)(account):
                await carry_on(join)


async def carry_on(join: GuestJoin) -> None:
    """Bring a join as far as it may go now."""
    guest = await User.objects.filter(id=join.guest_id).afirst()
    if guest is None:
        await sync_to_async(_finish)(join)
    elif join.moved_at is None:
        await _hand_over(guest, join, last=False)
        await GuestJoin.objects.filter(id=join.id, moved_at=None).aupdate(moved_at=timezone.now())
    elif join.moved_at < timezone.now() - timedelta(seconds=LATE_S):
        await _hand_over(guest, join, last=True)
        for kept in personal_data_registry.registered():
            await kept.erase(guest)
        await sync_to_async(_finish)(join)


async def _hand_over(guest: User, join: GuestJoin, *, last: bool) -> None:
    for kept in personal_data_registry.registered():
        await kept.hand_over(guest, join.account, last)


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
