"""A person asks for their account to be deleted, and may change their mind for a while.

From the moment they ask they are signed out everywhere, what is being answered for them is stopped,
and nothing can be done in their name: signing in leads to one page (accounts/middleware.py). When
the time is over accounts/personal_data/erase.py removes them. A guest, who could not sign in again,
is removed at once.
"""

from datetime import timedelta
from functools import partial

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import mail
from accounts.models import SecurityEvent, Session, User
from accounts.security_events import record
from accounts.suspension import end_everything

Kind = SecurityEvent.Kind


def ask(person: User, request: HttpRequest) -> bool:
    """Have the account deleted when the grace is over. False if it was asked for already. Sync."""
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
    """They have changed their mind. False if it is too late. Sync."""
    return _call_off(person, request, None, "")


def cancel(person: User, operator: User, reason: str) -> bool:
    """An operator calls the deletion off. False if there is none, or it is too late. Sync."""
    return _call_off(person, None, operator, reason)


def hasten(person: User, operator: User, reason: str) -> bool:
    """An operator ends the grace. False if deletion was not asked for. Sync."""
    with transaction.atomic():
        waiting = User.objects.filter(id=person.id, deletion_begun_at=None)
        changed = waiting.filter(deletion_due_at__isnull=False).update(
            deletion_due_at=timezone.now()
        )
        if changed:
            record(person, Kind.DELETION_ASKED, note=f"At once: {reason}", operator=operator)
    person.refresh_from_db()
    return bool(changed)


def erase_guest(guest: User) -> bool:
    """Everything of a guest goes now, without a way back. False if it is going already. Sync."""
    return begin(User.objects.filter(id=guest.id, is_guest=True, is_active=True), guest)


def begin(which: QuerySet[User], person: User) -> bool:
    """Past this there is no way back. False if `which` does not hold (any more). Sync."""
    now = timezone.now()
    with transaction.atomic():
        if not which.filter(id=person.id, deletion_begun_at=None).update(
            deletion_due_at=now,
            deletion_begun_at=now,
            is_active=False,
            session_epoch=F("session_epoch") + 1,
        ):
            return False
        _close(person)
    person.refresh_from_db()
    return True


def is_last_operator(person: User) -> bool:
    """Whether nobody could run this site any more. Sync."""
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
    """Sign them out everywhere; within the transaction."""
    Session.objects.filter(person_id=person.id).delete()
    UserSession.objects.filter(user=person).delete()
    transaction.on_commit(partial(end_everything, person))
