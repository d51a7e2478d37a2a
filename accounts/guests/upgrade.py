"""A guest becomes an account: the same row, so the same chats and the same log.

Signing up makes a row of its own first, which is of no use until its address has been
confirmed (or a provider has vouched for it): until then it opens nothing and takes nothing.
With its first sign-in everything that says who the person is moves to the guest's row, and the new
row goes. One transaction: a crash leaves either a guest with a confirmed account waiting for its
first sign-in, or the account.
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

# What hangs on the row that was made by signing up.
IDENTITY = (EmailAddress, SocialAccount, Authenticator, UserSession)


def become(guest: User, account: User) -> bool:
    """Turn the guest into the account; `account` is then the guest's row.

    False, and nothing happens, if the account has been used before: it may have chats of its own.
    """
    with transaction.atomic():
        # Always in the same order, lest two sign-ins wait for each other.
        rows = {row.id: row for row in _locked([guest.id, account.id])}
        kept, made = rows.get(guest.id), rows.get(account.id)
        if kept is None or made is None or not _is_open_guest(kept) or not _is_unused(made):
            return False
        for model in IDENTITY:
            model.objects.filter(user=made).update(user=kept)
        email, password, name = made.email, made.password, made.name
        made.delete()
        # A name that a provider told counts; else the one the guest has given themselves stays.
        name = name or kept.name
        kept.email, kept.password, kept.name, kept.is_guest = email, password, name, False
        kept.save(update_fields=["email", "password", "name", "is_guest"])
    account.pk = kept.pk
    account.refresh_from_db()
    return True


def keep_session(request: HttpRequest, account: User) -> None:
    """The guest's session goes on as the account's, under a new key and a new name: whoever knew
    the old ones, from before the person had proved anything, has nothing, and keeps no socket."""
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
