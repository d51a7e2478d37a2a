"""Personal data that accounts keeps besides the person's row and the rows that refer to it."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.cache import cache
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from accounts import limits
from accounts.devices import device_name
from accounts.models import Export, ProviderKey, SavedPrompt, SecurityEvent, Session, User
from accounts.personal_data import export as exports
from accounts.personal_data_registry import ExportFile, PersonalData
from accounts.preferences.store import preferences_of, settings_json
from accounts.sign_in.allauth_internals import rate_limit_keys

EVENTS_A_CHUNK = 500


async def hand_over(guest: User, account: User, last: bool) -> None:
    """Does nothing: a guest has no data here that an account could use."""


async def erase(person: User) -> None:
    """Erase sessions, exports, counts of limits, and the person in the admin's log."""
    await sync_to_async(_erase)(person)


def in_use(since: datetime) -> QuerySet[Any]:
    return User.objects.none().values("id")


async def export(person: User) -> AsyncIterator[ExportFile]:
    yield ExportFile("account.json", _account_json(person))


personal_data = PersonalData("accounts", hand_over, erase, in_use, export)


def _erase(person: User) -> None:
    Session.objects.filter(person_id=person.id).delete()
    UserSession.objects.filter(user=person).delete()
    for archive in Export.objects.filter(person=person):
        exports.remove_files(archive)
    # Ends the claim of a worker that is making an export. The row stays: it names the files.
    Export.objects.filter(person=person).update(state=Export.State.FAILED)
    addresses = EmailAddress.objects.filter(user=person).values_list("email", flat=True)
    limits.forget([person.id.hex, *(address.lower() for address in addresses), person.email or ""])
    cache.delete_many(rate_limit_keys(person))
    _clean_admin_log(person)


def _clean_admin_log(person: User) -> None:
    """Keep the entries of operators, but remove the person they are about."""
    about = apps.get_model("admin", "LogEntry").objects.filter(
        content_type__app_label="accounts", content_type__model="user", object_id=str(person.id)
    )
    about.update(object_id=None, object_repr="somebody who was deleted", change_message="")


# account.json: {"profile": {...}, "settings": {...}, "provider_keys": [...],
# "saved_prompts": [...], "sessions": [...], "security_events": [...]}


async def _account_json(person: User) -> AsyncIterator[bytes]:
    head = {
        "profile": await sync_to_async(_profile)(person),
        "settings": await sync_to_async(_settings)(person),
        "provider_keys": await sync_to_async(_provider_keys)(person),
        "saved_prompts": await sync_to_async(_saved_prompts)(person),
        "sessions": await sync_to_async(_sessions)(person),
    }
    yield _json(head)[:-1] + b',"security_events":['
    after, first = 0, True
    while rows := await sync_to_async(_events)(person, after):
        lines = b",\n".join(_json(_event(row)) for row in rows)
        yield lines if first else b",\n" + lines
        after, first = rows[-1].id, False
    yield b"]}\n"


def _profile(person: User) -> dict[str, Any]:
    addresses = EmailAddress.objects.filter(user=person).order_by("id")
    services = SocialAccount.objects.filter(user=person).order_by("id")
    factors = Authenticator.objects.filter(user=person).order_by("id")
    return {
        "id": person.id,
        "name": person.name,
        "email": person.email,
        "is_guest": person.is_guest,
        "created_at": person.created_at,
        "last_login": person.last_login,
        "addresses": list(addresses.values("email", "verified", "primary")),
        "connected_services": list(services.values("provider", "uid", "date_joined")),
        # Without the secrets.
        "second_factors": list(factors.values("type", "created_at", "last_used_at")),
    }


def _settings(person: User) -> dict[str, Any]:
    """The settings without the picture, which is a separate file:
    accounts/preferences/picture_files.py."""
    values = settings_json(person, preferences_of(person))
    return {name: value for name, value in values.items() if name != "picture"}


def _provider_keys(person: User) -> list[dict[str, Any]]:
    """The provider keys without the keys themselves, which only workers read, to call a model."""
    names = ("provider", "label", "base_url", "last_four", "status", "created_at")
    rows = ProviderKey.objects.filter(owner=person).order_by("created_at")
    return list(rows.values(*names))


def _saved_prompts(person: User) -> list[dict[str, Any]]:
    names = ("title", "text", "created_at")
    rows = SavedPrompt.objects.filter(owner=person).order_by("created_at")
    return list(rows.values(*names))


def _sessions(person: User) -> list[dict[str, Any]]:
    return [
        {
            "device": device_name(session.user_agent),
            "user_agent": session.user_agent,
            "address": session.ip,
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
        }
        for session in UserSession.objects.filter(user=person).order_by("id")
    ]


def _events(person: User, after: int) -> list[SecurityEvent]:
    events = SecurityEvent.objects.filter(person=person, id__gt=after).order_by("id")
    return list(events[:EVENTS_A_CHUNK])


def _event(row: SecurityEvent) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("kind", "at", "address", "user_agent", "note")}


def _json(value: Any) -> bytes:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False).encode()
