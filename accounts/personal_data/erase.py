"""Erases a person, in a worker. It may be killed at any step; repeating has the same result.

1. `deletion_request.begin` ends everything that the person can do.
2. With each sweep each app erases its data (accounts/personal_data_registry.py). Requests and
   answers that were running may still add something, so this is repeated for LATE_S.
3. Then the data is erased a last time, the person gets a mail, and one transaction removes the row
   with everything that refers to it, and the record of events. One event stays and cannot be
   removed: that an account with this id was deleted, and when, without address, browser or name.
"""

import logging
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import mail, personal_data_registry
from accounts.models import GuestJoin, SecurityEvent, User
from accounts.personal_data import deletion_request
from accounts.suspension import end_everything

logger = logging.getLogger(__name__)

# Longer than any request lives: an append gives up after 30 s.
LATE_S = 60
BATCH = 20


async def carry_on_all() -> None:
    """Take the next step for everybody whose account is to be deleted. For the worker's sweep."""
    await sync_to_async(_begin_due)()
    for person in await sync_to_async(_people_to_erase)():
        try:
            await carry_on(person)
        except Exception:
            # A failure must not hold up the others; the next sweep tries again.
            logger.exception("person %s could not be erased yet", person.id)


async def carry_on(person: User) -> None:
    """Take all steps that are possible now for somebody whose erasing has begun."""
    assert person.deletion_begun_at is not None
    await sync_to_async(end_everything)(person)
    await erase_personal_data(person)
    if person.deletion_begun_at > timezone.now() - timedelta(seconds=LATE_S):
        return
    await sync_to_async(_send_mail)(person)
    await sync_to_async(_finish)(person)
    logger.info("person %s was erased", person.id)


async def erase_personal_data(person: User) -> None:
    """Erase the apps' data of this person, and of guests that were joining their account."""
    people = [*await sync_to_async(_joining_guests)(person), person]
    for owner in people:
        for personal_data in personal_data_registry.registered():
            await personal_data.erase(owner)


def _begin_due() -> None:
    now = timezone.now()
    due = User.objects.filter(deletion_due_at__lte=now, deletion_begun_at=None)
    grace = timedelta(days=settings.ACCOUNT_DELETION_GRACE_DAYS)
    recent_due_at = now + grace - timedelta(seconds=LATE_S)
    recent = User.objects.filter(
        deletion_due_at__gt=max(now, recent_due_at), deletion_begun_at=None
    )
    for person in (due | recent).order_by("deletion_due_at")[:BATCH]:
        if person.deletion_due_at is not None and person.deletion_due_at <= now:
            deletion_request.begin(due, person)
        else:
            # Requests that had begun before they asked may have started something since.
            end_everything(person)


def _people_to_erase() -> list[User]:
    begun = User.objects.filter(deletion_begun_at__isnull=False)
    return list(begun.order_by("deletion_begun_at")[:BATCH])


def _joining_guests(person: User) -> list[User]:
    unfinished = GuestJoin.objects.filter(account=person, finished_at=None)
    return list(User.objects.filter(id__in=unfinished.values("guest_id"), is_guest=True))


def _send_mail(person: User) -> None:
    """Send the mail at most once: a kill between the update and the mail loses the mail."""
    if User.objects.filter(id=person.id, deletion_told_at=None).update(
        deletion_told_at=timezone.now()
    ):
        mail.send(person, "account/email/deleted")


def _finish(person: User) -> None:
    with transaction.atomic():
        if not User.objects.select_for_update().filter(id=person.id).exists():
            return  # Another worker has done it.
        guests = [guest.id for guest in _joining_guests(person)]
        User.objects.filter(id__in=[person.id, *guests]).delete()
        SecurityEvent.objects.filter(person_id=person.id).delete()
        if not person.is_guest:
            SecurityEvent.objects.create(person_id=person.id, kind=SecurityEvent.Kind.DELETED)
