"""Finds the writer of a request: an account, a guest, or a visitor, whom it makes a guest."""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts import limits
from accounts.client_address import address_group, client_address
from accounts.errors import NotSignedIn, Suspended
from accounts.guests.visitor import guest_of_visitor, person_of_visitor, visitor_id
from accounts.models import User
from accounts.people import require_person


async def require_writer(request: HttpRequest, body: dict[str, Any]) -> None:
    """Refuse what another person wrote in this browser.

    A message may wait in a browser while its writer signs out. It must not be sent as somebody
    else's, or as that of a new guest. A guest whose session was lost is recognised by the visitor
    cookie. Raises NotSignedIn, and OtherPerson as accounts.people.require_person does.
    """
    person, user = body.get("person"), await request.auser()
    if isinstance(user, User):
        require_person(user, person)
    elif person is not None:
        guest = await sync_to_async(person_of_visitor)(request)
        if guest is None or str(guest.id) != person:
            raise NotSignedIn(_("You were signed out after this was written. Sign in to send it."))


async def writer_of(request: HttpRequest) -> User | None:
    """The person who writes; None for a new guest."""
    user = await request.auser()
    return user if isinstance(user, User) else await sync_to_async(person_of_visitor)(request)


def take_new_guest(request: HttpRequest, person: User | None) -> None:
    """Count a visitor who becomes a guest, before the transaction, which must not wait for Redis.
    `person`: of `writer_of`. Raises LimitReached, Suspended. Sync."""
    if person is not None and person.suspended_at:
        raise Suspended
    if person is None and visitor_id(request) is not None:
        limits.take_guest(address_group(client_address(request)))


def require_guest(request: HttpRequest) -> User:
    """The guest of a visitor, who is created if there is none. Raises NotSignedIn. Sync, in a
    transaction."""
    guest = guest_of_visitor(request)
    if guest is None:
        raise NotSignedIn(_("Your browser did not keep our cookie. Allow cookies and reload."))
    return guest
