"""Guests: people who chat before they say who they are.

A visit leaves nothing behind on the server: the page only sets a signed cookie with a random id.
The first message makes the user row, with an id that follows from the cookie. So the first send
may be repeated, even at the same instant and without the session cookie of an answer that got
lost, and still makes one guest.
"""

import secrets
import uuid

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse

from accounts.models import GuestJoin, User

VISITOR_COOKIE = f"{settings.COOKIE_PREFIX}hf_visitor"
VISITOR_COOKIE_SALT = "accounts.guests.visitor"
VISITOR_COOKIE_MAX_AGE_S = 30 * 24 * 3600
GUEST_NAMESPACE = uuid.UUID("5f1d2c0a-6a53-4a57-9d52-0d5b7a4b3f10")


def set_visitor_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """Give a visitor an id who has none, or one whose guest is no guest any more. Writes nothing
    to the database. Sync."""
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
    """The cookie named the guest somebody was; a guest of this browser to come is another one."""
    response.delete_cookie(VISITOR_COOKIE, samesite="Lax")


def _is_used_up(person: User | None) -> bool:
    """It became an account, joined one or was deleted. Who is shut out stays who they are."""
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
    """The guest of this visitor if there is one already, whatever has become of it."""
    visitor = visitor_id(request)
    if visitor is None:
        return None
    return User.objects.filter(id=uuid.uuid5(GUEST_NAMESPACE, visitor)).first()


def guest_of_visitor(request: HttpRequest) -> User | None:
    """Make the visitor's guest, or find it again.

    None when there is no visitor cookie (a client that never loaded the page), or when its guest
    has become an account: the cookie of a guest must not open that.
    """
    visitor = visitor_id(request)
    if visitor is None:
        return None
    guest, _ = User.objects.get_or_create(
        id=uuid.uuid5(GUEST_NAMESPACE, visitor), defaults={"is_guest": True, "password": "!"}
    )
    if not guest.is_guest or not guest.is_active:
        return None
    return guest


def sign_in_guest(request: HttpRequest, guest: User) -> None:
    """Sign a guest in on this session."""
    login(request, guest, backend="django.contrib.auth.backends.ModelBackend")
