"""People's own provider keys: stored, replaced, removed, looked at again.

Web processes encrypt and never decrypt; whoever calls a model with a key takes it from `reveal`,
for one call, in a worker. A guest has none.
"""

import logging
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

from accounts import personal_data_registry
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

logger = logging.getLogger(__name__)

MAX_CUSTOM = 10
# A key shorter than this would not be a secret any more without its last four characters.
MIN_CHARS_TO_SHOW_FOUR = 16
LIST_FRESH_S = 24 * 3_600
LIST_RETRY_S = 3_600
PREFIX = "my-"


class TooManyKeysError(Exception):
    """There is one already of this provider, or too many custom ones."""


class KeyGoneError(Exception):
    """The key that was to be replaced has been removed."""


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
    """Store a key that was checked; the row of one that it replaces keeps its id. `named`: models
    that its owner named by hand.

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
    _put(row, encrypt(key, belongs_to(row)))
    try:
        with transaction.atomic():
            # The people's row orders what two tabs do at once.
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
    """Sync. What is being answered with it goes on; no further call is made."""
    with transaction.atomic():
        deleted, _ = ProviderKey.objects.filter(id=row.id).delete()
        if deleted:
            _record(row, SecurityEvent.Kind.KEY_REMOVED, request)


def keys_of(owner: User, *, lists: bool = True) -> list[ProviderKey]:
    """In the order of PROVIDERS, the custom ones by age; without their lists of models if not
    `lists`: those are read when they are asked for. Sync."""
    rows = ProviderKey.objects.filter(owner=owner).order_by("created_at")
    rows = rows if lists else rows.defer("model_list")
    order = list(PROVIDERS)
    return sorted(rows, key=lambda row: order.index(row.provider))


def endpoint_name(row: ProviderKey) -> str:
    """What the ids of its models begin with. Whose it is, is not in it: it is looked up among the
    keys of the person who asks."""
    return PREFIX + (row.id.hex[:12] if row.provider == CUSTOM else row.provider)


def display_name(row: ProviderKey) -> str:
    if row.provider == CUSTOM:
        return row.label
    return _("Your %(provider)s key") % {"provider": PROVIDERS[row.provider].label}


def url_of(row: ProviderKey) -> str:
    return row.base_url if row.provider == CUSTOM else PROVIDERS[row.provider].url


# Models named by hand, for a service that gives no list: they stay in the list whatever it says.


def named_models(row: ProviderKey) -> list[str]:
    return [entry["id"] for entry in row.model_list if entry.get("by_hand") is True]


def _with_named(named: Sequence[str], listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {entry["id"]: entry for entry in listed}
    first = [{**known.get(name, {"id": name}), "by_hand": True} for name in named]
    return first + [entry for entry in listed if entry["id"] not in named]


# Encryption


def belongs_to(row: ProviderKey) -> bytes:
    """The associated data: a ciphertext is good in this row alone, for this person, provider and
    address. Whoever changes the address in the database does not get the key sent there."""
    parts = ("holdfast-key-1", row.owner_id.hex, row.provider, row.id.hex, row.base_url)
    return "\x00".join(parts).encode()


def reveal(row: ProviderKey) -> str:
    """The key. Raises KeyEncryptionError, everywhere but in a worker."""
    encrypted = Encrypted(row.key_version, bytes(row.nonce), bytes(row.ciphertext))
    return decrypt(encrypted, belongs_to(row))


def reencrypt(row: ProviderKey) -> bool:
    """With the newest version. False when the row was changed or removed meanwhile. Raises
    KeyEncryptionError. Sync."""
    old_nonce = bytes(row.nonce)
    _put(row, encrypt(reveal(row), belongs_to(row)))
    changed = ProviderKey.objects.filter(id=row.id, nonce=old_nonce).update(
        key_version=row.key_version, nonce=row.nonce, ciphertext=row.ciphertext
    )
    return changed == 1


def versions_stored() -> dict[int, int]:
    """How many keys are encrypted with each version. Sync."""
    counted = ProviderKey.objects.order_by().values("key_version").annotate(number=Count("id"))
    return {row["key_version"]: row["number"] for row in counted}


def missing_versions() -> dict[int, int]:
    """Of those, the ones that the environment does not give. Sync."""
    known = known_versions()
    return {v: number for v, number in sorted(versions_stored().items()) if v not in known}


def outdated() -> Q:
    return ~Q(key_version=current_version())


def _put(row: ProviderKey, encrypted: Encrypted) -> None:
    row.key_version = encrypted.version
    row.nonce, row.ciphertext = encrypted.nonce, encrypted.ciphertext


# Looking again


def want_check(row: ProviderKey, what: "ProviderKey.Check") -> None:
    """Have a worker look at it, soon. Sync."""
    waiting = ProviderKey.objects.filter(id=row.id)
    if what == ProviderKey.Check.LIST:
        waiting = waiting.filter(check_wanted=ProviderKey.Check.NONE)
    if waiting.update(check_wanted=what):
        transaction.on_commit(_wake)


def is_list_stale(row: ProviderKey) -> bool:
    now = timezone.now()
    read = row.model_list_read_at
    if read is not None and now - read < timedelta(seconds=LIST_FRESH_S):
        return False
    return now - row.checked_at >= timedelta(seconds=LIST_RETRY_S) and not row.check_wanted


def note_verdict(row: ProviderKey, verdict: Verdict) -> None:
    """What a worker found, unless the key was replaced meanwhile. Sync."""
    now = timezone.now()
    found: dict[str, Any] = {"status": verdict.status, "checked_at": now}
    found |= {"check_wanted": ProviderKey.Check.NONE, "check_claimed_until": None}
    if verdict.models is not None:
        models = _with_named(named_models(row), verdict.models)
        found |= {"model_list": models, "model_list_read_at": now}
    ProviderKey.objects.filter(id=row.id, nonce=bytes(row.nonce)).update(**found)


def _wake() -> None:
    for wake in personal_data_registry.on_key_check_wanted:
        try:
            wake()
        except Exception:  # The next sweep of a worker sees it all the same.
            logger.warning("workers were not told of a key to check", exc_info=True)


def _record(row: ProviderKey, kind: "SecurityEvent.Kind", request: HttpRequest | None) -> None:
    record(row.owner, kind, request, note=PROVIDERS[row.provider].label)
