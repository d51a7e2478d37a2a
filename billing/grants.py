"""Grants: the guest budget, the sign-up credit and the free credit.

guest budget    once per guest, when they first need credit; kept when the guest becomes an account
sign-up credit  once per person, with the first verified sign-in. It is not granted again after the
                account was deleted, because a keyed hash of its address is kept
free credit     for an account that has been at zero (below CREDIT_ZERO_BELOW_MICRO_USD) for
                CREDIT_FREE_AFTER_DAYS days; once each time it reaches zero

Each grant is a ledger entry with its own idempotency key, so repeating a call grants nothing more.
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


def give_initial_credit(purse: Purse, person: User) -> None:
    """Grant the sign-up credit or the guest budget, unless granted before. `purse` is locked."""
    if not person.is_guest:
        _give_sign_up(purse, person)
        return
    amount, key = settings.CREDIT_GUEST_MICRO_USD, _guest_key(person)
    if amount and not LedgerEntry.objects.filter(key=key).exists():
        ledger.append(purse, Kind.GUEST_BUDGET, amount, key=key)


def has_guest_budget() -> Exists:
    """For a query of purses: whether the guest budget was granted. Until then, it is shown as part
    of a guest's balance."""
    return Exists(LedgerEntry.objects.filter(purse=OuterRef("pk"), kind=Kind.GUEST_BUDGET))


def on_signed_in(user: Any, **_: Any) -> None:
    """Signal handler of sign-ins. An error must not prevent a sign-in; the next one tries again."""
    if not isinstance(user, User) or user.is_guest:
        return
    try:
        if not LedgerEntry.objects.filter(key=_sign_up_key(user)).exists():
            with transaction.atomic():
                _give_sign_up(ledger.lock_purse(user.id), user)
    except Exception:
        logger.exception("the sign-up credit of %s could not be given", user.id)


def remember_addresses(person: User) -> None:
    """Store hashes of a leaver's verified addresses, so that none gets the sign-up credit again."""
    for digest in _hashes(person):
        SignUpClaim.objects.get_or_create(address_hash=digest)


def give_free_credit(now: datetime | None = None) -> int:
    """Grant free credit to at most FREE_BATCH people who are due. Returns how many received it.

    Idempotent.
    """
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
    granted = LedgerEntry.objects.filter(
        purse=OuterRef("person_id"), kind=Kind.FREE_CREDIT, at__gt=OuterRef("zero_since")
    )
    due = due.filter(~Exists(granted)).order_by("zero_since")
    ids = list(due.values_list("person_id", flat=True)[:FREE_BATCH])
    return sum(_give_free(person_id, since) for person_id in ids)


def free_credit_due_at(purse: Purse | None) -> datetime | None:
    """The time when free credit is due; None with credit, in debt, or if none is given at all."""
    if purse is None or purse.zero_since is None or purse.balance_micro_usd < 0:
        return None
    if not settings.CREDIT_FREE_MICRO_USD:
        return None
    return purse.zero_since + timedelta(days=settings.CREDIT_FREE_AFTER_DAYS)


def normalised(address: str) -> str:
    """Canonical form of an address: lower case, without +tags and the dots that Gmail ignores."""
    local, _, domain = unicodedata.normalize("NFKC", address).strip().lower().rpartition("@")
    local = local.partition("+")[0] or local
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode()
    if domain in GMAIL:
        local, domain = local.replace(".", ""), GMAIL[0]
    return f"{local}@{domain}"


# Private


def _give_sign_up(purse: Purse, person: User) -> None:
    """Grant it unless one of the person's addresses has had it. `purse` is locked."""
    hashes = _hashes(person)
    if not hashes or LedgerEntry.objects.filter(key=_sign_up_key(person)).exists():
        return
    amount = settings.CREDIT_SIGN_UP_MICRO_USD
    # All are inserted before the decision: concurrent sign-ups with one address serialise on the
    # unique index.
    is_new = [SignUpClaim.objects.get_or_create(address_hash=digest)[1] for digest in hashes]
    if all(is_new) and amount:
        ledger.append(purse, Kind.SIGNUP_CREDIT, amount, key=_sign_up_key(person))


def _guest_key(person: User) -> str:
    return f"guest:{person.id}"


def _sign_up_key(person: User) -> str:
    return f"signup:{person.id}"


def _hashes(person: User) -> list[str]:
    """Keyed hashes of the verified addresses, sorted so that concurrent inserts cannot deadlock."""
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
        # Either the credit was granted but is too small to leave zero, or money was taken back
        # since the list was read.
        if LedgerEntry.objects.filter(key=key).exists() or purse.balance_micro_usd < 0:
            return 0
        ledger.append(purse, Kind.FREE_CREDIT, settings.CREDIT_FREE_MICRO_USD, key=key)
        return 1
