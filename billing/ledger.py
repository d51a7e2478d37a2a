"""The ledger: what was given to and taken from each person, in whole micro-USD.

Every entry has a key that names what it books, so booking the same thing again, by a retry or by
two processes at once, gives the entry that is there and changes nothing. Sync; each call is one
transaction that locks the person's purse before anything else of it.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.errors import KeyReused
from billing.models import Hold, LedgerEntry, Purse

KINDS = tuple(kind.value for kind in LedgerEntry.Kind)
# Called after the commit with the id of the person whose balance or held sum has changed.
on_change: list[Callable[[uuid.UUID], None]] = []


@dataclass(frozen=True, slots=True)
class Balance:
    """`available` is what is neither spent nor held: below zero when spent money was taken back."""

    balance_micro_usd: int
    held_micro_usd: int
    available_micro_usd: int


def balance(person_id: uuid.UUID) -> Balance:
    """All zero for somebody who has never needed credit."""
    purse = Purse.objects.filter(person_id=person_id).first() or Purse(person_id=person_id)
    return Balance(purse.balance_micro_usd, purse.held_micro_usd, purse.available_micro_usd)


def post(
    person_id: uuid.UUID,
    kind: str,
    amount_micro_usd: int,
    *,
    key: str,
    reason: str = "",
    staff_id: uuid.UUID | None = None,
    reply_id: uuid.UUID | None = None,
    chat_id: uuid.UUID | None = None,
    price_id: int | None = None,
    top_up_id: uuid.UUID | None = None,
) -> LedgerEntry:
    """Book an amount: above zero gives, below takes. The entry; an earlier one if the key has one.

    Raises KeyReused when that one is of another person, kind or amount. What is taken back
    (refund, dispute, adjustment) may leave less than nothing; charges are made by billing/holds.py.
    """
    if kind not in KINDS or kind == LedgerEntry.Kind.CHARGE:
        raise ValueError(f"{kind} cannot be posted")
    with transaction.atomic():
        purse = lock_purse(person_id)
        return append(
            purse,
            kind,
            amount_micro_usd,
            key=key,
            reason=reason,
            staff_id=staff_id,
            reply_id=reply_id,
            chat_id=chat_id,
            price_id=price_id,
            top_up_id=top_up_id,
        )


def is_booked(key: str) -> bool:
    return LedgerEntry.objects.filter(key=key).exists()


def lock_purse(person_id: uuid.UUID) -> Purse:
    """The person's purse, made if there is none, locked to the end of the transaction."""
    locked = Purse.objects.select_for_update()
    purse = locked.filter(person_id=person_id).first()
    if purse is None:
        Purse.objects.get_or_create(person_id=person_id, defaults={"zero_since": timezone.now()})
        purse = locked.get(person_id=person_id)
    return purse


def lock_purses(person_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Purse]:
    """The same for several people: in one order, lest two who do so wait for each other."""
    return {person_id: lock_purse(person_id) for person_id in sorted(person_ids)}


def append(purse: Purse, kind: str, amount_micro_usd: int, *, key: str, **said: Any) -> LedgerEntry:
    """Add an entry to a locked purse, whose row in memory is brought up to date."""
    existing = LedgerEntry.objects.filter(key=key).first()
    if existing is not None:
        same = (existing.purse_id, existing.kind, existing.amount_micro_usd)
        if same != (purse.person_id, kind, amount_micro_usd):
            raise KeyReused(key)
        return existing
    entry = LedgerEntry.objects.create(
        purse=purse,
        number=purse.entries + 1,
        kind=kind,
        amount_micro_usd=amount_micro_usd,
        balance_after_micro_usd=purse.balance_micro_usd + amount_micro_usd,
        key=key,
        **said,
    )
    # As the database's trigger has just done.
    purse.entries, purse.balance_micro_usd = entry.number, entry.balance_after_micro_usd
    _note_zero(purse, entry.at)
    tell_of_change(purse.person_id)
    return entry


def charge(
    purse: Purse, hold: Hold, amount_micro_usd: int, *, key: str, price_id: int, reason: str
) -> LedgerEntry:
    """Draw from a hold of a locked purse, which must hold as much; see billing/holds.py."""
    hold.amount_micro_usd -= amount_micro_usd
    hold.charged_micro_usd += amount_micro_usd
    hold.save(update_fields=["amount_micro_usd", "charged_micro_usd", "updated_at"])
    purse.held_micro_usd -= amount_micro_usd
    return append(
        purse,
        LedgerEntry.Kind.CHARGE,
        -amount_micro_usd,
        key=key,
        reason=reason,
        reply_id=hold.reply_id,
        chat_id=hold.chat_id,
        hold=hold,
        price_id=price_id,
    )


@dataclass(frozen=True, slots=True)
class _Telling:
    person_id: uuid.UUID

    def __call__(self) -> None:
        for listener in on_change:
            listener(self.person_id)


def tell_of_change(person_id: uuid.UUID) -> None:
    """After the commit; once for a transaction, however much it changes."""
    telling = _Telling(person_id)
    waiting = (getattr(asked[1], "__self__", None) for asked in connection.run_on_commit)
    if on_change and telling not in waiting:
        # A method: Django logs the `__qualname__` of what fails, which this object lacks.
        transaction.on_commit(telling.__call__, robust=True)


def _note_zero(purse: Purse, at: datetime) -> None:
    is_zero = purse.balance_micro_usd < settings.CREDIT_ZERO_BELOW_MICRO_USD
    if is_zero != (purse.zero_since is not None):
        purse.zero_since = at if is_zero else None
        purse.save(update_fields=["zero_since"])
