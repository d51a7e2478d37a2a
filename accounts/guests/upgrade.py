"""A guest becomes an account on the same row, and so keeps their chats and their log.

Signing up first makes a separate row, which nobody can sign in to until its address has been
confirmed or a provider has vouched for it. At its first sign-in one transaction moves everything
about the identity to the guest's row, and deletes the separate row. A crash leaves either a guest
and a confirmed account that was never signed in to, or the account.
"""

import uuid

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.db import transaction
from django.http import HttpRequest

from accounts.models import GuestJoin, SecurityEvent, User
from accounts.security_events import record
from accounts.sessions import SID

# Rows that refer to the row that signing up made.
IDENTITY = (EmailAddress, SocialAccount, Authenticator, UserSession)


def become(guest: User, account: User) -> bool:
    """Turn the guest into the account; `account` is the guest's row afterwards. Sync.

    Returns False and changes nothing if the account has been used before, since it may have chats
    of its own, or if either row is gone or suspended.
    """
    with transaction.atomic():
        # Always locked in the same order, so that two sign-ins cannot deadlock.
        rows = {row.id: row for row in _locked([guest.id, account.id])}
        kept, made = rows.get(guest.id), rows.get(account.id)
        if kept is None or made is None or not _is_open_guest(kept) or not _is_unused(made):
            return False
        for model in IDENTITY:
            model.objects.filter(user=made).update(user=kept)
        email, password, name = made.email, made.password, made.name
        made.delete()
        # A name from a provider takes precedence over the one that the guest chose.
        name = name or kept.name
        kept.email, kept.password, kept.name, kept.is_guest = email, password, name, False
        kept.save(update_fields=["email", "password", "name", "is_guest"])
    account.pk = kept.pk
    account.refresh_from_db()
    return True


def keep_session(request: HttpRequest, account: User) -> None:
    """Continue the guest's session as the account's, under a new key and a new `sid`. Somebody who
    knew the old ones, from before the person proved who they are, keeps neither session nor socket.
    """
    request.session.pop(SID, None)
    request.session[HASH_SESSION_KEY] = account.get_session_auth_hash()
    request.session.cycle_key()
    record(account, SecurityEvent.Kind.SIGNED_UP, request, note="A guest became this account.")


def _locked(ids: list[uuid.UUID]) -> list[User]:
    return list(User.objects.select_for_update().filter(id__in=ids).order_by("id"))


def _is_open_guest(user: User) -> bool:
    return user.is_guest and user.is_active


def _is_unused(user: User) -> bool:
    is_plain = not (user.is_guest or user.is_staff or user.is_superuser)
    is_new = user.last_login is None and not GuestJoin.objects.filter(account=user).exists()
    return is_plain and is_new and user.is_active
