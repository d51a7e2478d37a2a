"""People's own provider keys: storing, replacing, removing and rechecking them.

Web processes encrypt and never decrypt. A worker gets a key from `reveal` for each call of a model.
Guests have no keys.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from accounts import sockets
from accounts.models import ProviderKey, SecurityEvent, User
from accounts.provider_keys.encryption import (
    Encrypted,
    current_version,
    decrypt,
    encrypt,
    known_versions,
)
from accounts.provider_keys.probe import Verdict
from accounts.provider_keys.providers import CUSTOM, PROVIDERS
from accounts.security_events import record

MAX_CUSTOM = 10
# Showing four characters of a key shorter than this would give away too much of it.
MIN_CHARS_TO_SHOW_FOUR = 16
LIST_FRESH_S = 24 * 3_600
LIST_RETRY_S = 3_600
PREFIX = "my-"


class TooManyKeysError(Exception):
    """The person already has a key of this provider, or too many custom ones."""


class KeyGoneError(Exception):
    """The key to be replaced has been removed."""


@sensitive_variables()
def save(
    owner: User,
    provider: str,
    key: str,
    verdict: Verdict,
    request: HttpRequest | None = None,
    *,
    label: str = "",
    base_url: str = "",
    named: Sequence[str] = (),
    replaces: ProviderKey | None = None,
) -> ProviderKey:
    """Store a key that was checked. A key that `replaces` another takes over its row. `named` are
    the models that the owner entered by hand.

    Raises TooManyKeysError or KeyGoneError. Sync.
    """
    row = replaces or ProviderKey(id=uuid.uuid4(), owner=owner, provider=provider)
    if provider == CUSTOM:
        row.label, row.base_url = label, base_url
    row.last_four = key[-4:] if len(key) >= MIN_CHARS_TO_SHOW_FOUR else ""
    row.status, row.checked_at = verdict.status, timezone.now()
    row.model_list, row.model_list_read_at = _with_named(named, verdict.models or []), None
    if verdict.models is not None:
        row.model_list_read_at = row.checked_at
    row.check_wanted, row.check_claimed_until = ProviderKey.Check.NONE, None
    _set_ciphertext(row, encrypt(key, belongs_to(row)))
    try:
        with transaction.atomic():
            # Locking the owner's row serialises concurrent requests from two tabs.
            User.objects.select_for_update().get(id=owner.id)
            others = ProviderKey.objects.filter(owner=owner, provider=provider).exclude(id=row.id)
            if others.count() >= (MAX_CUSTOM if provider == CUSTOM else 1):
                raise TooManyKeysError
            if replaces is None:
                row.save(force_insert=True)
            else:
                if not ProviderKey.objects.filter(id=row.id, owner=owner).exists():
                    raise KeyGoneError
                row.save(force_update=True)
                _record(row, SecurityEvent.Kind.KEY_REMOVED, request)
            _record(row, SecurityEvent.Kind.KEY_ADDED, request)
    except IntegrityError as error:
        raise TooManyKeysError from error
    return row


def remove(row: ProviderKey, request: HttpRequest | None = None) -> None:
    """Remove a key. Running answers that use it continue; no new call is made with it. Sync."""
    with transaction.atomic():
        deleted, _ = ProviderKey.objects.filter(id=row.id).delete()
        if deleted:
            _record(row, SecurityEvent.Kind.KEY_REMOVED, request)


def keys_of(owner: User, *, lists: bool = True) -> list[ProviderKey]:
    """The owner's keys in the order of PROVIDERS, the custom ones by age. Sync.

    Without `lists` the lists of models are deferred.
    """
    rows = ProviderKey.objects.filter(owner=owner).order_by("created_at")
    rows = rows if lists else rows.defer("model_list")
    order = list(PROVIDERS)
    return sorted(rows, key=lambda row: order.index(row.provider))


def endpoint_name(row: ProviderKey) -> str:
    """The prefix of the ids of the key's models. It does not name the owner: it is only looked up
    among the keys of the person who asks."""
    return PREFIX + (row.id.hex[:12] if row.provider == CUSTOM else row.provider)


def display_name(row: ProviderKey) -> str:
    if row.provider == CUSTOM:
        return row.label
    return _("Your %(provider)s key") % {"provider": PROVIDERS[row.provider].label}


def url_of(row: ProviderKey) -> str:
    return row.base_url if row.provider == CUSTOM else PROVIDERS[row.provider].url


# Models entered by hand, for services that list none. They stay whatever the service lists later.


def named_models(row: ProviderKey) -> list[str]:
    return [entry["id"] for entry in row.model_list if entry.get("by_hand") is True]


def _with_named(named: Sequence[str], listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {entry["id"]: entry for entry in listed}
    first = [{**known.get(name, {"id": name}), "by_hand": True} for name in named]
    return first + [entry for entry in listed if entry["id"] not in named]


# Encryption


def belongs_to(row: ProviderKey) -> bytes:
    """The associated data: a ciphertext decrypts only in this row, for this person, provider and
    address. So somebody who changes the address in the database does not get the key."""
    parts = ("holdfast-key-1", row.owner_id.hex, row.provider, row.id.hex, row.base_url)
    return "\x00".join(parts).encode()


def reveal(row: ProviderKey) -> str:
    """Decrypt the key. Raises KeyEncryptionError, always outside of a worker."""
    encrypted = Encrypted(row.key_version, bytes(row.nonce), bytes(row.ciphertext))
    return decrypt(encrypted, belongs_to(row))


def reencrypt(row: ProviderKey) -> bool:
    """Encrypt the key with the newest version. False if the row was changed or removed meanwhile.
    Raises KeyEncryptionError. Sync."""
    old_nonce = bytes(row.nonce)
    _set_ciphertext(row, encrypt(reveal(row), belongs_to(row)))
    changed = ProviderKey.objects.filter(id=row.id, nonce=old_nonce).update(
        key_version=row.key_version, nonce=row.nonce, ciphertext=row.ciphertext
    )
    return changed == 1


def versions_stored() -> dict[int, int]:
    """How many keys are encrypted with each version. Sync."""
    counted = ProviderKey.objects.order_by().values("key_version").annotate(number=Count("id"))
    return {row["key_version"]: row["number"] for row in counted}


def missing_versions() -> dict[int, int]:
    """Like `versions_stored`, but only versions without an encryption key. Sync."""
    known = known_versions()
    return {v: number for v, number in sorted(versions_stored().items()) if v not in known}


def outdated() -> Q:
    return ~Q(key_version=current_version())


def _set_ciphertext(row: ProviderKey, encrypted: Encrypted) -> None:
    row.key_version = encrypted.version
    row.nonce, row.ciphertext = encrypted.nonce, encrypted.ciphertext


# Checking again


def want_check(row: ProviderKey, what: "ProviderKey.Check") -> None:
    """Have a worker check the key soon. Sync."""
    waiting = ProviderKey.objects.filter(id=row.id)
    if what == ProviderKey.Check.LIST:
        waiting = waiting.filter(check_wanted=ProviderKey.Check.NONE)
    if waiting.update(check_wanted=what):
        sockets.wake_workers("keys")


def is_list_stale(row: ProviderKey) -> bool:
    now = timezone.now()
    read = row.model_list_read_at
    if read is not None and now - read < timedelta(seconds=LIST_FRESH_S):
        return False
    return now - row.checked_at >= timedelta(seconds=LIST_RETRY_S) and not row.check_wanted


def note_verdict(row: ProviderKey, verdict: Verdict) -> None:
    """Store a worker's verdict, unless the key was replaced meanwhile. Sync."""
    now = timezone.now()
    changes: dict[str, Any] = {"status": verdict.status, "checked_at": now}
    changes |= {"check_wanted": ProviderKey.Check.NONE, "check_claimed_until": None}
    if verdict.models is not None:
        models = _with_named(named_models(row), verdict.models)
        changes |= {"model_list": models, "model_list_read_at": now}
    ProviderKey.objects.filter(id=row.id, nonce=bytes(row.nonce)).update(**changes)


def _record(row: ProviderKey, kind: "SecurityEvent.Kind", request: HttpRequest | None) -> None:
    record(row.owner, kind, request, note=PROVIDERS[row.provider].label)
