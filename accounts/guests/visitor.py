"""The visitor's cookie, and the guest that is made from it.

A visit stores nothing on the server: the page only sets a signed cookie with a random id. The first
message, or opening the settings, creates the guest's row, whose id is derived from the cookie. So a
browser may repeat its first request, even concurrently or without the session cookie of a lost
response, and there is still only one guest.
"""

import secrets
import uuid

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import limits
from accounts.client_address import address_group, client_address
from accounts.models import GuestJoin, User

VISITOR_COOKIE = f"{settings.COOKIE_PREFIX}hf_visitor"
VISITOR_COOKIE_SALT = "accounts.guests.visitor"
VISITOR_COOKIE_MAX_AGE_S = 30 * 24 * 3600
GUEST_NAMESPACE = uuid.UUID("5f1d2c0a-6a53-4a57-9d52-0d5b7a4b3f10")


def set_visitor_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """Set the cookie for visitors who have none, or whose guest is no longer a guest. Sync.

    Writes nothing to the database.
    """
    if visitor_id(request) is None or _is_used_up(person_of_visitor(request)):
        response.set_signed_cookie(
            VISITOR_COOKIE,
            secrets.token_urlsafe(24),
            salt=VISITOR_COOKIE_SALT,
            max_age=VISITOR_COOKIE_MAX_AGE_S,
            httponly=True,
            samesite="Lax",
            secure=settings.HTTPS or request.is_secure(),
        )


def forget_visitor(response: HttpResponse) -> None:
    """Delete the cookie, so that this browser's next guest is a new one."""
    response.delete_cookie(VISITOR_COOKIE, samesite="Lax")


def _is_used_up(person: User | None) -> bool:
    """Whether the guest became an account, joined one or was deleted. A suspended guest keeps the
    cookie, and so stays suspended."""
    if person is None or person.suspended_at:
        return False
    gone = not person.is_guest or person.is_leaving
    return gone or GuestJoin.objects.filter(guest_id=person.id).exists()


def visitor_id(request: HttpRequest) -> str | None:
    value = request.get_signed_cookie(
        VISITOR_COOKIE, None, salt=VISITOR_COOKIE_SALT, max_age=VISITOR_COOKIE_MAX_AGE_S
    )
    return value or None


def person_of_visitor(request: HttpRequest) -> User | None:
    """The row made from this visitor's cookie, if any; it may be an account by now. Sync."""
    visitor = visitor_id(request)
    if visitor is None:
        return None
    return User.objects.filter(id=uuid.uuid5(GUEST_NAMESPACE, visitor)).first()


def guest_of_visitor(request: HttpRequest) -> User | None:
    """Get or create the visitor's guest. Sync.

    None if there is no visitor cookie (the client never loaded the page), or if the guest is
    inactive or has become an account: the visitor's cookie must never open an account.
    """
    visitor = visitor_id(request)
    if visitor is None:
        return None
    new = {"is_guest": True, "password": "!", "last_login": timezone.now()}
    guest, _ = User.objects.get_or_create(id=uuid.uuid5(GUEST_NAMESPACE, visitor), defaults=new)
    if not guest.is_guest or not guest.is_active:
        return None
    return guest


def begin_guest(request: HttpRequest) -> User | None:
    """Make the visitor a guest before the first message, and sign the guest in. Sync.

    None as `guest_of_visitor` returns it. Raises LimitReached.
    """
    if visitor_id(request) is not None and person_of_visitor(request) is None:
        limits.take_guest(address_group(client_address(request)))
    guest = guest_of_visitor(request)
    if guest is not None:
        sign_in_guest(request, guest)
    return guest


def sign_in_guest(request: HttpRequest, guest: User) -> None:
    """Sign the guest in to this session. Sync."""
    login(request, guest, backend="django.contrib.auth.backends.ModelBackend")
