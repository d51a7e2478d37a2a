"""Requests for an account to be deleted, with a grace period in which people can change their mind.

A request signs the person out everywhere and stops running answers; signing in then leads to a
single page (accounts/middleware.py). After the grace period
accounts/personal_data/erase.py erases them. Guests are erased at once, because they could not sign
in again.
"""

from datetime import timedelta
from functools import partial

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import mail, sockets
from accounts.models import SecurityEvent, Session, User
from accounts.security_events import record
from accounts.suspension import end_everything

Kind = SecurityEvent.Kind


def ask(person: User, request: HttpRequest) -> bool:
    """Schedule the deletion for the end of the grace period. False if it is already scheduled, or
    if this is not an active account. Sync."""
    now = timezone.now()
    due_at = now + timedelta(days=settings.ACCOUNT_DELETION_GRACE_DAYS)
    with transaction.atomic():
        open_account = User.objects.filter(id=person.id, is_guest=False, is_active=True)
        if not open_account.filter(deletion_due_at=None).update(
            deletion_due_at=due_at, session_epoch=F("session_epoch") + 1
        ):
            return False
        record(person, Kind.DELETION_ASKED, request)
        _close(person)
    person.refresh_from_db()
    mail.send(person, "account/email/deletion_asked", {"url": mail.address_of("/settings/leaving")})
    return True


def keep(person: User, request: HttpRequest) -> bool:
    """Keep the account: its owner has changed their mind. False if it is too late. Sync."""
    return _call_off(person, request, None, "")


def cancel(person: User, operator: User, reason: str) -> bool:
    """Cancel the deletion, by an operator. False if none is requested, or it is too late. Sync."""
    return _call_off(person, None, operator, reason)


def hasten(person: User, operator: User, reason: str) -> bool:
    """End the grace period now, by an operator. False if no deletion was requested. Sync."""
    with transaction.atomic():
        waiting = User.objects.filter(id=person.id, deletion_begun_at=None)
        changed = waiting.filter(deletion_due_at__isnull=False).update(
            deletion_due_at=timezone.now()
        )
        if changed:
            record(person, Kind.DELETION_ASKED, note=f"At once: {reason}", operator=operator)
            sockets.wake_workers("deletion")
    person.refresh_from_db()
    return bool(changed)


def erase_guest(guest: User) -> bool:
    """Begin to erase a guest now, irrevocably. False if that has begun already. Sync."""
    return begin(User.objects.filter(id=guest.id, is_guest=True, is_active=True), guest)


def begin(candidates: QuerySet[User], person: User) -> bool:
    """Begin to erase the person, irrevocably. False if `candidates` does not select them (any
    more), or if it has begun already. Sync."""
    now = timezone.now()
    with transaction.atomic():
        if not candidates.filter(id=person.id, deletion_begun_at=None).update(
            deletion_due_at=now,
            deletion_begun_at=now,
            is_active=False,
            session_epoch=F("session_epoch") + 1,
        ):
            return False
        _close(person)
        sockets.wake_workers("deletion")
    person.refresh_from_db()
    return True


def is_last_operator(person: User) -> bool:
    """Whether the site would have no operator without this person. Sync."""
    others = User.objects.filter(is_superuser=True, is_active=True, deletion_due_at=None)
    return person.is_superuser and not others.exclude(id=person.id).exists()


def _call_off(
    person: User, request: HttpRequest | None, operator: User | None, reason: str
) -> bool:
    with transaction.atomic():
        waiting = User.objects.filter(id=person.id, deletion_begun_at=None)
        changed = waiting.filter(deletion_due_at__isnull=False).update(deletion_due_at=None)
        if changed:
            record(person, Kind.DELETION_CANCELLED, request, note=reason, operator=operator)
    person.refresh_from_db()
    if changed:
        mail.send(person, "account/email/deletion_cancelled")
    return bool(changed)


def _close(person: User) -> None:
    """Sign the person out everywhere. Called within the transaction."""
    Session.objects.filter(person_id=person.id).delete()
    UserSession.objects.filter(user=person).delete()
    transaction.on_commit(partial(end_everything, person))
