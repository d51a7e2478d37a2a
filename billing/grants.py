"""Credit that is given: the guest budget, the sign-up credit, the free credit.

guest budget    once for a guest, when they first need credit; stays theirs as an account
sign-up credit  once for a person, with the first verified sign-in. Whoever deletes the account and
                comes back with the same address gets none: a keyed hash of the address is kept
free credit     for an account that has been at zero (less than CREDIT_ZERO_BELOW_MICRO_USD) for
                CREDIT_FREE_AFTER_DAYS; once for each time it got there

Each is an entry of the ledger with a key of its own, so giving it twice gives it once.
"""

import logging
import unicodedata
import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import User
from billing import ledger
from billing.models import LedgerEntry, Purse, SignUpClaim

logger = logging.getLogger(__name__)

Kind = LedgerEntry.Kind
CLAIM_SALT = "billing.grants.sign_up"
GMAIL = ("gmail.com", "googlemail.com")
FREE_BATCH = 200


def give_first(purse: Purse, person: User) -> None:
    """What somebody has coming who has not had it yet. `purse` is locked."""
    if not person.is_guest:
        _give_sign_up(purse, person)
    elif amount := promised_micro_usd(person):
        ledger.append(purse, Kind.GUEST_BUDGET, amount, key=_guest_key(person))


def promised_micro_usd(person: User) -> int:
    """What `give_first` would give a guest now: what to show before anything was booked."""
    if person.is_guest and not LedgerEntry.objects.filter(key=_guest_key(person)).exists():
        return settings.CREDIT_GUEST_MICRO_USD
    return 0


def on_signed_in(user: Any, **_: Any) -> None:
    """With every sign-in; a fault here must not keep anybody out: it is tried again next time."""
    if not isinstance(user, User) or user.is_guest:
        return
    try:
        if not LedgerEntry.objects.filter(key=_sign_up_key(user)).exists():
            with transaction.atomic():
                _give_sign_up(ledger.lock_purse(user.id), user)
    except Exception:
        logger.exception("the sign-up credit of %s could not be given", user.id)


def remember_addresses(person: User) -> None:
    """Note all verified addresses of somebody who leaves: none of them brings the credit again."""
    for digest in _hashes(person):
        SignUpClaim.objects.get_or_create(address_hash=digest)


def give_free_credit(now: datetime | None = None) -> int:
    """To all who have been at zero for long enough; how many they were. May be repeated."""
    if not settings.CREDIT_FREE_MICRO_USD:
        return 0
    now = now or timezone.now()
    since = now - timedelta(days=settings.CREDIT_FREE_AFTER_DAYS)
    due = Purse.objects.filter(
        zero_since__lte=since,
        balance_micro_usd__gte=0,
        held_micro_usd=0,
        person_id__in=User.objects.filter(is_guest=False, is_active=True).values("id"),
    )
    had = LedgerEntry.objects.filter(
        purse=OuterRef("person_id"), kind=Kind.FREE_CREDIT, at__gt=OuterRef("zero_since")
    )
    due = due.filter(~Exists(had)).order_by("zero_since")
    ids = list(due.values_list("person_id", flat=True)[:FREE_BATCH])
    return sum(_give_free(person_id, since) for person_id in ids)


def free_credit_due_at(person_id: uuid.UUID) -> datetime | None:
    """When the free credit comes if nothing else does; None while there is credit, or never."""
    purse = Purse.objects.filter(person_id=person_id).first()
    if purse is None or purse.zero_since is None or purse.balance_micro_usd < 0:
        return None
    if not settings.CREDIT_FREE_MICRO_USD:
        return None
    return purse.zero_since + timedelta(days=settings.CREDIT_FREE_AFTER_DAYS)


def normalised(address: str) -> str:
    """An address as one person's: without case, +tags, and the dots that Gmail ignores."""
    local, _, domain = unicodedata.normalize("NFKC", address).strip().lower().rpartition("@")
    local = local.partition("+")[0] or local
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode()
    if domain in GMAIL:
        local, domain = local.replace(".", ""), GMAIL[0]
    return f"{local}@{domain}"


# Private


def _give_sign_up(purse: Purse, person: User) -> None:
    """Unless one of the person's addresses has had it. The purse is locked."""
    hashes = _hashes(person)
    if not hashes or LedgerEntry.objects.filter(key=_sign_up_key(person)).exists():
        return
    amount = settings.CREDIT_SIGN_UP_MICRO_USD
    # Each is inserted before it is known whether all were new: the insert is what two sign-ups with
    # one address wait for.
    is_new = [SignUpClaim.objects.get_or_create(address_hash=digest)[1] for digest in hashes]
    if all(is_new) and amount:
        ledger.append(purse, Kind.SIGNUP_CREDIT, amount, key=_sign_up_key(person))


def _guest_key(person: User) -> str:
    return f"guest:{person.id}"


def _sign_up_key(person: User) -> str:
    return f"signup:{person.id}"


def _hashes(person: User) -> list[str]:
    """Of the verified addresses, in an order that is always the same."""
    verified = EmailAddress.objects.filter(user=person, verified=True)
    addresses = {normalised(email) for email in verified.values_list("email", flat=True)}
    return sorted(
        salted_hmac(CLAIM_SALT, address, algorithm="sha256").hexdigest() for address in addresses
    )


def _give_free(person_id: uuid.UUID, since: datetime) -> int:
    with transaction.atomic():
        purse = ledger.lock_purse(person_id)
        if purse.zero_since is None or purse.zero_since > since or purse.held_micro_usd:
            return 0
        key = f"free:{person_id}:{purse.zero_since.isoformat()}"
        # It was given before, and was so little that this is still the same zero; or money was
        # taken back since the list was made.
        if LedgerEntry.objects.filter(key=key).exists() or purse.balance_micro_usd < 0:
            return 0
        ledger.append(purse, Kind.FREE_CREDIT, settings.CREDIT_FREE_MICRO_USD, key=key)
        return 1
