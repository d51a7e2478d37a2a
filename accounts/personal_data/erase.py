"""Erasing a person: by a worker, killed at any step and repeated with the same result.

1. `leaving.begin`: the person can do nothing any more.
2. Each app erases what it keeps (accounts/personal_data_registry.py), with each sweep. Requests and
answers that
   were under way may still add something, so this goes on for LATE_S.
3. After that it is erased once more, the person is told, and one transaction removes the row with
   all that hangs on it and what is recorded of them. What stays of the record is that an account of
   this id was deleted, and when: without address, browser or name. Nobody can remove that.
"""

import logging
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import mail, personal_data_registry
from accounts.models import GuestJoin, SecurityEvent, User
from accounts.personal_data import deletion_request as leaving
from accounts.suspension import end_everything

logger = logging.getLogger(__name__)

# Longer than any request lives: an append gives up after 30 s.
LATE_S = 60
BATCH = 20


async def carry_on_all() -> None:
    """The next step for everybody who leaves. For the worker's sweep."""
    await sync_to_async(_begin_due)()
    for person in await sync_to_async(_erased_now)():
        try:
            await carry_on(person)
        except Exception:
            # One that cannot go on must not hold up the others; it is tried again.
            logger.exception("person %s could not be erased yet", person.id)


async def carry_on(person: User) -> None:
    """Bring somebody whose erasing has begun as far as it may go now."""
    assert person.deletion_begun_at is not None
    await sync_to_async(end_everything)(person)
    await erase_personal_data(person)
    if person.deletion_begun_at > timezone.now() - timedelta(seconds=LATE_S):
        return
    await sync_to_async(_tell)(person)
    await sync_to_async(_finish)(person)
    logger.info("person %s was erased", person.id)


async def erase_personal_data(person: User) -> None:
    """All that the apps keep of this person, and of guests that were on their way to them."""
    for guest in await sync_to_async(_joining)(person):
        for kept in personal_data_registry.registered():
            await kept.erase(guest)
    for kept in personal_data_registry.registered():
        await kept.erase(person)


def _begin_due() -> None:
    due = User.objects.filter(deletion_due_at__lte=timezone.now(), deletion_begun_at=None)
    for person in due.order_by("deletion_due_at")[:BATCH]:
        leaving.begin(due, person)
    # What had begun before they asked may have come through since.
    grace = timedelta(days=settings.ACCOUNT_DELETION_GRACE_DAYS)
    asked_lately = timezone.now() + grace - timedelta(seconds=LATE_S)
    waiting = User.objects.filter(deletion_due_at__gt=timezone.now(), deletion_begun_at=None)
    for person in waiting.filter(deletion_due_at__gt=asked_lately):
        end_everything(person)


def _erased_now() -> list[User]:
    begun = User.objects.filter(deletion_begun_at__isnull=False)
    return list(begun.order_by("deletion_begun_at")[:BATCH])


def _joining(person: User) -> list[User]:
    unfinished = GuestJoin.objects.filter(account=person, finished_at=None)
    return list(User.objects.filter(id__in=unfinished.values("guest_id"), is_guest=True))


def _tell(person: User) -> None:
    """Once: a kill between this and the mail costs the mail."""
    if User.objects.filter(id=person.id, deletion_told_at=None).update(
        deletion_told_at=timezone.now()
    ):
        mail.send(person, "account/email/deleted")


def _finish(person: User) -> None:
    with transaction.atomic():
        if not User.objects.select_for_update().filter(id=person.id).exists():
            return  # Another worker was quicker.
        guests = [guest.id for guest in _joining(person)]
        User.objects.filter(id__in=[person.id, *guests]).delete()
        SecurityEvent.objects.filter(person_id=person.id).delete()
        if not person.is_guest:
            SecurityEvent.objects.create(person_id=person.id, kind=SecurityEvent.Kind.DELETED)
