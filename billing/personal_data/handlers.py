"""Transfers, erases and exports a person's credit and usage.

The ledger is kept after a person is erased, under their bare id.
"""

import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from accounts.models import User
from accounts.personal_data_registry import ExportFile, PersonalData
from billing import grants, holds, ledger
from billing.models import Hold, LedgerEntry, Purse
from billing.payments import chores as payment_chores
from billing.payments import stripe_api, top_ups
from billing.personal_data import export as exports

Kind = LedgerEntry.Kind
LINES_PER_CHUNK = 1_000
# Kinds that are not paid credit. Granted credit stays behind: else each guest would add $0.50.
NOT_PAID_KINDS = (Kind.GUEST_BUDGET, Kind.SIGNUP_CREDIT, Kind.FREE_CREDIT, Kind.CHARGE)


async def hand_over(guest: User, account: User, last: bool) -> None:
    """Transfer the guest's paid credit to the account. Open holds stay in the guest's purse.

    Called a second time with `last`, because holds may have been released since.
    """
    await sync_to_async(_hand_over)(guest.id, account.id, "last" if last else "first")


async def erase(person: User) -> None:
    await sync_to_async(_erase)(person)
    if stripe_api.enabled() and await sync_to_async(top_ups.has_open)(person.id):
        await payment_chores.apart(partial(top_ups.close_open, person.id))


def in_use(since: datetime) -> QuerySet[Any]:
    """Ids of people who have paid or have an open hold. They are never removed for being idle."""
    paid_or_held = Q(ledger__kind=Kind.TOP_UP) | Q(holds__state=Hold.State.OPEN)
    return Purse.objects.filter(paid_or_held).values("person_id")


async def export(person: User) -> AsyncIterator[ExportFile]:
    yield ExportFile("usage.csv", _chunks(exports.usage_csv(person.id)))
    yield ExportFile("payments.csv", _chunks(exports.payments_csv(person.id)))


async def _chunks(lines: Iterator[str]) -> AsyncIterator[bytes]:
    def next_lines() -> str:
        return "".join(islice(lines, LINES_PER_CHUNK))

    while text := await sync_to_async(next_lines)():
        yield text.encode()


personal_data = PersonalData("billing", hand_over, erase, in_use, export)


def _hand_over(guest_id: uuid.UUID, account_id: uuid.UUID, part: str) -> None:
    key = f"join:{guest_id}:{part}"
    with transaction.atomic():
        purses = ledger.lock_purses((guest_id, account_id))
        guest, account = purses[guest_id], purses[account_id]
        if LedgerEntry.objects.filter(key=f"{key}:out").exists():
            return
        paid = LedgerEntry.objects.filter(purse=guest).exclude(kind__in=NOT_PAID_KINDS)
        paid_for = paid.aggregate(total=Sum("amount_micro_usd"))["total"] or 0
        # Granted credit counts as spent first.
        amount = min(paid_for, guest.available_micro_usd)
        if amount > 0:
            reason = "Credit of a guest who joined this account."
            ledger.append(guest, Kind.ADJUSTMENT, -amount, key=f"{key}:out", reason=reason)
            ledger.append(account, Kind.ADJUSTMENT, amount, key=f"{key}:in", reason=reason)


def _erase(person: User) -> None:
    grants.remember_addresses(person)
    open_holds = Hold.objects.filter(purse_id=person.id, state=Hold.State.OPEN)
    for hold_key in list(open_holds.values_list("key", flat=True)):
        holds.release(hold_key)
