"""The ledger: all credit given to and taken from each person, in whole micro-USD.

The key of an entry is an idempotency key: booking the same thing again, in a retry or in another
process at the same time, returns the existing entry and changes nothing. Sync; each call is one
transaction that locks the person's purse first.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from billing.errors import KeyReused
from billing.models import Hold, LedgerEntry, Purse

KINDS = tuple(kind.value for kind in LedgerEntry.Kind)
# Called after the commit with the id of each person whose balance or held sum has changed.
on_change: list[Callable[[uuid.UUID], None]] = []


@dataclass(frozen=True, slots=True)
class Balance:
    """`available` is balance less held; negative when money was taken back after it was spent."""

    balance_micro_usd: int
    held_micro_usd: int
    available_micro_usd: int


def balance(person_id: uuid.UUID) -> Balance:
    """The person's balance; all zero without a purse."""
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
    """Book an amount: positive gives credit, negative takes it.

    Returns the new entry, or the existing one with this key. Raises KeyReused if that entry has
    another person, kind or amount, and ValueError for charges, which billing/holds.py makes.
    Refunds, disputes and adjustments may leave a negative balance.
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
    """Get or create the person's purse, locked until the end of the transaction."""
    locked = Purse.objects.select_for_update()
    purse = locked.filter(person_id=person_id).first()
    if purse is None:
        created = Purse(person_id=person_id, zero_since=timezone.now())
        Purse.objects.bulk_create([created], ignore_conflicts=True)
        purse = locked.get(person_id=person_id)
    return purse


def lock_purses(
    person_ids: Iterable[uuid.UUID], more: QuerySet[Any, Any] | None = None
) -> dict[uuid.UUID, Purse]:
    """Lock several purses in one statement, always in the same order, so that two callers cannot
    deadlock. Those of `person_ids` are created if need be; `more` selects ids of existing ones."""
    ids = set(person_ids)
    chosen: Any = ids
    if more is not None:
        # A union, because PostgreSQL reads all purses for an OR of a list and a query.
        own = Purse.objects.filter(person_id__in=ids).order_by().values("person_id")
        chosen = own.union(more.order_by()) if ids else more
    found = Purse.objects.select_for_update().filter(person_id__in=chosen).order_by("person_id")
    purses = {purse.person_id: purse for purse in found}
    # Nobody else can have locked a purse that does not exist yet.
    return purses | {one: lock_purse(one) for one in sorted(ids - purses.keys())}


def append(
    purse: Purse, kind: str, amount_micro_usd: int, *, key: str, **fields: Any
) -> LedgerEntry:
    """Add an entry to a locked purse and update `purse` in memory. See `post` for the key."""
    existing = LedgerEntry.objects.filter(key=key).first()
    if existing is not None:
        booked = (existing.purse_id, existing.kind, existing.amount_micro_usd)
        if booked != (purse.person_id, kind, amount_micro_usd):
            raise KeyReused(key)
        return existing
    return _add_entry(purse, kind, amount_micro_usd, key=key, **fields)


def _add_entry(
    purse: Purse, kind: str, amount_micro_usd: int, *, key: str, **fields: Any
) -> LedgerEntry:
    """Add an entry whose key is new. Raises IntegrityError if it is not."""
    entry = LedgerEntry.objects.create(
        purse=purse,
        number=purse.entries + 1,
        kind=kind,
        amount_micro_usd=amount_micro_usd,
        balance_after_micro_usd=purse.balance_micro_usd + amount_micro_usd,
        key=key,
        **fields,
    )
    # The database's trigger has done the same to the row.
    purse.entries, purse.balance_micro_usd = entry.number, entry.balance_after_micro_usd
    _note_zero(purse, entry.at)
    notify_after_commit(purse.person_id)
    return entry


def charge(
    purse: Purse,
    hold: Hold,
    amount_micro_usd: int,
    *,
    key: str,
    price_id: int,
    reason: str,
    closes: bool,
) -> LedgerEntry:
    """Draw from a hold of a locked purse, and with `closes` release the rest of it.

    The hold must cover the amount. `key` must be new: billing/holds.py books a charge once,
    together with the usage row of the same key.
    """
    held = hold.amount_micro_usd
    hold.amount_micro_usd -= amount_micro_usd
    hold.charged_micro_usd += amount_micro_usd
    if closes:
        hold.amount_micro_usd, hold.state = 0, Hold.State.CLOSED
    hold.save(update_fields=["amount_micro_usd", "charged_micro_usd", "state", "updated_at"])
    purse.held_micro_usd -= held - hold.amount_micro_usd
    return _add_entry(
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
class _Notification:
    person_id: uuid.UUID

    def __call__(self) -> None:
        for listener in on_change:
            listener(self.person_id)


def notify_after_commit(person_id: uuid.UUID) -> None:
    """Call the listeners after the commit, once per transaction and person."""
    notification = _Notification(person_id)
    pending = (getattr(callback[1], "__self__", None) for callback in connection.run_on_commit)
    if on_change and notification not in pending:
        # A bound method, because Django logs the `__qualname__` of a callback that fails.
        transaction.on_commit(notification.__call__, robust=True)


def _note_zero(purse: Purse, at: datetime) -> None:
    is_zero = purse.balance_micro_usd < settings.CREDIT_ZERO_BELOW_MICRO_USD
    if is_zero != (purse.zero_since is not None):
        purse.zero_since = at if is_zero else None
        purse.save(update_fields=["zero_since"])
