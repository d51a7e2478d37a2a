"""People's settings: checking and storing them, and notifying the person's devices.

One table (`CHECKS`) validates each setting, for the API and for the page without JavaScript. Guests
have settings too. When a guest joins an existing account, the account keeps its settings, and the
guest's are deleted.
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

# Bidirectional controls: in a list of names they would also reorder the text after the name.
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

MAX_NAME_CHARS = 120
MAX_MODEL_CHARS = 200
MAX_INSTRUCTIONS_CHARS = 4_000
MAX_PINNED_MODELS = 30


def preferences_of(person: User) -> Preferences:
    """The person's row, or unsaved defaults. Takes a query unless the row was joined. Sync."""
    try:
        return person.preferences
    except Preferences.DoesNotExist:
        return Preferences(person=person)


def settings_json(person: User, row: Preferences) -> dict[str, Any]:
    """A person's settings, as the API, the pages and the sockets send them."""
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
        "answer_notifications": row.answer_notifications,
        "pinned_models": row.pinned_models.splitlines(),
    }


def change(person: User, new_values: Mapping[str, object]) -> User:
    """Set all of these settings or none; returns the person as stored now. Sync.

    Setting the same values again changes nothing and notifies no device. Raises SettingsRefused,
    and NotSignedIn if the person does not exist any more.
    """
    values = checked(new_values)
    with transaction.atomic():
        now = _locked(person)
        if (name := values.pop("name", now.name)) != now.name:
            now.name = name
            now.save(update_fields=["name"])
            transaction.on_commit(partial(_notify_devices, now))
        row = preferences_of(now)
        changed = {key: value for key, value in values.items() if getattr(row, key) != value}
        if changed:
            _store(now, changed)
    return now


def change_picture(person: User, picture: Picture | None) -> User:
    """Replace the person's picture; None removes it. Returns the person as stored now. Sync.

    Raises NotSignedIn if the person does not exist any more.
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


def _notify_devices(person: User) -> None:
    """Notify the person's devices. Devices that miss the message get the settings when they
    reconnect."""
    try:
        sockets.notify_settings_changed(person)
    except Exception:
        logger.exception("the devices of %s could not be notified", person.id)


def checked(new_values: Mapping[str, object]) -> dict[str, Any]:
    """The values in the form in which they are stored. Raises SettingsRefused, which names every
    refused field."""
    values, refused = {}, {}
    for name, value in new_values.items():
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
    """Store the fields, in a transaction that has locked the person's row. Devices are notified on
    commit."""
    row, _ = Preferences.objects.update_or_create(person=person, defaults=fields)
    person.preferences = row
    transaction.on_commit(partial(_notify_devices, person))


def _locked(person: User) -> User:
    rows = User.objects.select_for_update().filter(id=person.id, is_active=True)
    now = rows.first()
    if now is None:
        raise NotSignedIn
    return now


# Checks of settings: each returns the value to store, or raises ValueError with a sentence.


def _name(value: object) -> str:
    name = " ".join(_text(value).split())
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise ValueError(_("A name cannot hold control characters."))
    if any(character in BIDI_CONTROLS for character in name):
        raise ValueError(_("A name cannot hold characters that turn the direction of text."))
    return _at_most(name, MAX_NAME_CHARS)


def _model(value: object) -> str:
    # The model need not exist: lists of models change, and the choice should survive that.
    return _at_most(_text(value).strip(), MAX_MODEL_CHARS)


def _pinned_models(value: object) -> str:
    if not isinstance(value, list):
        raise ValueError(_("This must be a list of models."))
    if len(value) > MAX_PINNED_MODELS:
        raise ValueError(_("At most %(most)s models can be pinned.") % {"most": MAX_PINNED_MODELS})
    names = [_model(name) for name in value]
    if not all(name and name.splitlines() == [name] for name in names):
        raise ValueError(_("This must be a list of models."))
    return "\n".join(dict.fromkeys(names))


def checked_instructions(value: object) -> str:
    """Instructions to the model, from a person's settings or a chat's. Raises ValueError."""
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
    "answer_notifications": _flag,
    "pinned_models": _pinned_models,
}
