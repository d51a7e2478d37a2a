"""The browsers that get Web Push messages (RFC 8030), each with the session that subscribed it.

A subscription is good for as long as its session: what ends the session ends the messages too,
because senders look for the session each time.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlsplit

from allauth.usersessions.models import UserSession
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_noop

from accounts.errors import AccountsError, NotSignedIn
from accounts.models import PushSubscription, User
from accounts.personal_data_registry import PersonalData

# Browsers of one person. The oldest makes room for another one.
MAX_SUBSCRIPTIONS = 10
MAX_ENDPOINT_CHARS = 1_000
POINT_BYTES, SECRET_BYTES = 65, 16


class PushRefused(AccountsError):
    code = "push_refused"
    message = gettext_noop("This browser's push service is not known here, or its keys are wrong.")


class PushOff(AccountsError):
    code = "push_off"
    message = gettext_noop("This site sends no messages to closed browsers.")


@dataclass(frozen=True, slots=True)
class Address:
    """Where and how a browser gets messages."""

    endpoint: str
    p256dh: str
    auth: str

    @classmethod
    def read(cls, sent: dict[str, Any]) -> Self:
        """From the JSON form of a browser's PushSubscription. Raises PushRefused."""
        keys = sent.get("keys")
        if not isinstance(keys, dict):
            raise PushRefused
        endpoint, p256dh, auth = (sent.get("endpoint"), keys.get("p256dh"), keys.get("auth"))
        if not (isinstance(endpoint, str) and isinstance(p256dh, str) and isinstance(auth, str)):
            raise PushRefused
        if not is_of_push_service(endpoint):
            raise PushRefused
        point = _decoded(p256dh, POINT_BYTES)
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError as error:
            raise PushRefused from error
        _decoded(auth, SECRET_BYTES)
        return cls(endpoint, p256dh, auth)


def is_of_push_service(endpoint: str) -> bool:
    """Whether it is an address of one of PUSH_SERVICES. People choose it, and we send to it."""
    if len(endpoint) > MAX_ENDPOINT_CHARS or not endpoint.isascii() or "#" in endpoint:
        return False
    try:
        parts = urlsplit(endpoint)
        host, origin = parts.hostname or "", f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        return False
    return any(
        host.endswith(service[9:]) and origin == f"https://{host}"
        if service.startswith("https://*.")
        else origin == service
        for service in settings.PUSH_SERVICES
    )


def _decoded(value: str, length: int) -> bytes:
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise PushRefused from error
    if len(decoded) != length:
        raise PushRefused
    return decoded


def add(person: User, sid: str, address: Address) -> None:
    """Subscribe a browser, also one that was somebody else's until now. Sync. Raises NotSignedIn if
    the person does not exist any more."""
    with transaction.atomic():
        # The lock on the person lets two requests at once not exceed the bound together.
        locked = User.objects.select_for_update().filter(id=person.id, is_active=True).first()
        if locked is None:
            raise NotSignedIn
        PushSubscription.objects.update_or_create(
            endpoint=address.endpoint,
            defaults={"owner": locked, "sid": sid, "p256dh": address.p256dh, "auth": address.auth},
        )
        newest = PushSubscription.objects.filter(owner=locked).order_by("-created_at", "id")
        surplus = list(newest.values_list("id", flat=True)[MAX_SUBSCRIPTIONS:])
        PushSubscription.objects.filter(id__in=surplus).delete()


def remove(person: User, endpoint: str) -> None:
    """Sync. A subscription that is gone already stays gone."""
    PushSubscription.objects.filter(owner=person, endpoint=endpoint).delete()


def usable_by(person: User) -> list[PushSubscription]:
    """The person's subscriptions whose sessions have not ended; the others are deleted. Sync.

    Sessions of guests are not listed (accounts/sessions.py): a guest has one browser, and the row
    goes with the guest.
    """
    rows = PushSubscription.objects.filter(owner=person).order_by("created_at", "id")
    if person.is_guest:
        return list(rows)
    listed = UserSession.objects.filter(user=person, data__sid=OuterRef("sid"))
    found = list(rows.annotate(has_session=Exists(listed)))
    if over := [row.id for row in found if not row.has_session]:
        PushSubscription.objects.filter(id__in=over).delete()
    return [row for row in found if row.has_session]


# Personal data. A guest who joins an account signs in again, so the browser subscribes again.


async def _hand_over(guest: User, account: User, last: bool) -> None:
    await PushSubscription.objects.filter(owner=guest).adelete()


async def _erase(person: User) -> None:
    await PushSubscription.objects.filter(owner=person).adelete()


def _in_use(since: datetime) -> QuerySet[Any]:
    return PushSubscription.objects.filter(created_at__gte=since).values("owner_id")


personal_data = PersonalData("push subscriptions", _hand_over, _erase, _in_use)
