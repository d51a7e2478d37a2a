"""Audits that the ledger booked exactly what each top-up's row says. Sync."""

import uuid
from collections import defaultdict
from collections.abc import Iterator

from django.db import transaction
from django.db.models import QuerySet, Sum

from billing.models import LedgerEntry, TopUp

Kind = LedgerEntry.Kind
BATCH = 1_000
# A dispute and its reversal are summed up under one kind.
SUMMED_AS = {Kind.DISPUTE_WON: Kind.DISPUTE}


def expected(top_up: TopUp) -> dict[str, int]:
    """Micro-USD that must be booked for a top-up, by kind; zeros are left out."""
    if top_up.state != TopUp.State.PAID:
        return {}
    by_refunds = top_up.share_micro_usd(top_up.refunded_cents)
    by_both = top_up.share_micro_usd(top_up.refunded_cents + top_up.disputed_cents)
    sums = {
        Kind.TOP_UP: top_up.total_micro_usd,
        Kind.FEE: -top_up.fee_micro_usd,
        Kind.REFUND: -by_refunds,
        Kind.DISPUTE: by_refunds - by_both,
    }
    return {str(kind): amount for kind, amount in sums.items() if amount}


def differences() -> Iterator[str]:
    """One line for each top-up that is booked differently, or booked but missing."""
    sums = _booked(LedgerEntry.objects.exclude(top_up_id=None))
    for top_up in TopUp.objects.order_by("id").iterator(BATCH):
        if sums.pop(top_up.id, {}) != expected(top_up):
            # The top-up may have been paid between the two queries, so compare again under a lock.
            yield from _line(top_up.id)
    for unknown in sums:
        if not TopUp.objects.filter(id=unknown).exists():
            yield f"top-up {unknown}: was booked, but does not exist"


def _line(top_up_id: uuid.UUID) -> list[str]:
    with transaction.atomic():
        top_up = TopUp.objects.select_for_update().get(id=top_up_id)
        booked = _booked(LedgerEntry.objects.filter(top_up_id=top_up_id)).get(top_up_id, {})
    wanted = expected(top_up)
    if booked == wanted:
        return []
    return [f"top-up {top_up_id}: should be booked as {wanted}, is booked as {booked}"]


def _booked(entries: QuerySet[LedgerEntry]) -> dict[uuid.UUID, dict[str, int]]:
    sums: dict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    rows = entries.order_by().values_list("top_up_id", "kind").annotate(Sum("amount_micro_usd"))
    for top_up_id, kind, amount in rows:
        name = str(SUMMED_AS.get(Kind(kind), kind))
        sums[top_up_id][name] = sums[top_up_id].get(name, 0) + amount
    return {
        top_up_id: {kind: amount for kind, amount in by_kind.items() if amount}
        for top_up_id, by_kind in sums.items()
    }
