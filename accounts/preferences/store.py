"""What a person can set: checked, stored, and told to every device of theirs.

One table (`CHECKS`) says of each setting what it may be; the API and the page without JavaScript
both go through it. Guests have settings too. When a guest joins an account that was there before,
the account's settings stay and the guest's go with the guest.
"""

import logging
import unicodedata
import zoneinfo
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import sockets
from accounts.errors import NotSignedIn, SettingsRefused
from accounts.models import Preferences, User
from accounts.preferences import picture_files
from accounts.preferences.picture_files import Picture

logger = logging.getLogger(__name__)

# What makes the text after it read the other way round: in a list of names, that of others.
TURNS_TEXT = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

MAX_NAME_CHARS = 120
MAX_MODEL_CHARS = 200
MAX_INSTRUCTIONS_CHARS = 4_000


def preferences_of(person: User) -> Preferences:
    """The person's row, or what holds without one (not stored). A query, unless it was joined."""
    try:
        return person.preferences
    except Preferences.DoesNotExist:
        return Preferences(person=person)


def settings_json(person: User, row: Preferences) -> dict[str, Any]:
    """What the API, the pages and the sockets say of a person's settings."""
    return {
        "name": person.name,
        "picture": picture_files.urls(row.picture),
        "appearance": row.appearance,
        "language": row.language,
        "time_zone": row.time_zone,
        "send_key": row.send_key,
        "default_model": row.default_model,
        "instructions": row.instructions,
        "background_calls": row.background_calls,
    }


def change(person: User, wanted: Mapping[str, object]) -> User:
    """Set what `wanted` names, all of it or nothing; gives the person as they are now. Sync.

    Raises SettingsRefused, and NotSignedIn when the person is no more. The same again changes
    nothing and tells nobody.
    """
    values = checked(wanted)
    with transaction.atomic():
        now = _locked(person)
        if (name := values.pop("name", now.name)) != now.name:
            now.name = name
            now.save(update_fields=["name"])
            transaction.on_commit(partial(_tell, now))
        row = preferences_of(now)
        changed = {key: value for key, value in values.items() if getattr(row, key) != value}
        if changed:
            _store(now, changed)
    return now


def change_picture(person: User, picture: Picture | None) -> User:
    """Put a picture in place of the one there is; None: back to the initials. Sync.

    Raises NotSignedIn when the person is no more.
    """
    name = picture_files.save(person, picture) if picture else ""
    try:
        with transaction.atomic():
            now = _locked(person)
            before = preferences_of(now).picture
            if before != name:
                size_bytes = picture.size_bytes if picture else 0
                _store(now, {"picture": name, "picture_bytes": size_bytes})
    except BaseException:
        picture_files.delete(person, name)
        raise
    if before != name:
        picture_files.delete(person, before)
    return now


def _tell(person: User) -> None:
    """A quick word to the person's devices. One that missed it learns with its next connection."""
    try:
        sockets.notify_settings_changed(person)
    except Exception:
        logger.exception("the devices of %s could not be told of their settings", person.id)


def checked(wanted: Mapping[str, object]) -> dict[str, Any]:
    """The values as they are stored. Raises SettingsRefused, which names every field at fault."""
    values, refused = {}, {}
    for name, value in wanted.items():
        try:
            values[name] = CHECKS[name](value)
        except KeyError:
            refused[name] = _("There is no such setting.")
        except ValueError as error:
            refused[name] = str(error)
    if refused:
        raise SettingsRefused(refused)
    return values


@cache
def time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) | {"UTC"}


def _store(person: User, fields: dict[str, Any]) -> None:
    """In a transaction that has locked the person's row; told when it is committed."""
    row, _ = Preferences.objects.update_or_create(person=person, defaults=fields)
    person.preferences = row
    transaction.on_commit(partial(_tell, person))


def _locked(person: User) -> User:
    rows = User.objects.select_for_update().filter(id=person.id, is_active=True)
    now = rows.first()
    if now is None:
        raise NotSignedIn
    return now


# What each setting may be: gives the value to store, or raises ValueError with a sentence.


def _name(value: object) -> str:
    name = " ".join(_text(value).split())
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise ValueError(_("A name cannot hold control characters."))
    if any(character in TURNS_TEXT for character in name):
        raise ValueError(_("A name cannot hold characters that turn the direction of text."))
    return _at_most(name, MAX_NAME_CHARS)


def _model(value: object) -> str:
    # Whether it exists is not asked: lists of models come and go, and the choice outlives that.
    return _at_most(_text(value).strip(), MAX_MODEL_CHARS)


def checked_instructions(value: object) -> str:
    """Instructions to the model, of a person or for a chat. Raises ValueError."""
    lines = _text(value).replace("\r\n", "\n").replace("\r", "\n")
    return _at_most(lines.strip(), MAX_INSTRUCTIONS_CHARS)


def _time_zone(value: object) -> str:
    name = _text(value)
    if name and name not in time_zones():
        raise ValueError(_("This is not the name of a time zone, such as Europe/Berlin."))
    return name


def _language(value: object) -> str:
    code = _text(value)
    if code and code not in dict(settings.LANGUAGES):
        raise ValueError(_("This language is not offered here."))
    return code


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("This must be true or false."))
    return value


def _one_of(choices: list[str]) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(_("This must be one of: %(values)s.") % {"values": ", ".join(choices)})
        return value

    return check


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(_("This must be a text."))
    if "\x00" in value:
        raise ValueError(_("This cannot hold the character NUL."))
    return value


def _at_most(text: str, max_chars: int) -> str:
    if len(text) > max_chars:
        raise ValueError(
            _("This can have at most %(most)s characters; it has %(count)s.")
            % {"most": f"{max_chars:,}", "count": f"{len(text):,}"}
        )
    return text


CHECKS: dict[str, Callable[[object], Any]] = {
    "name": _name,
    "appearance": _one_of(Preferences.Appearance.values),
    "language": _language,
    "time_zone": _time_zone,
    "send_key": _one_of(Preferences.SendKey.values),
    "default_model": _model,
    "instructions": checked_instructions,
    "background_calls": _flag,
}
