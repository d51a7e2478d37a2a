"""The audit: recomputes every stored sum from the rows it is a sum of.

`books` compares the database with itself. Apps above register checks in `checks` that compare it
with the log. Each difference, even of one micro-USD, becomes one line. A check is a single
statement or compares rows that are final, so the audit may run while people send messages.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import (
    BigIntegerField,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    Window,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.sockets import wake_workers
from billing.models import AuditRequest, AuditRun, Hold, LedgerEntry, Purse, TopUp, Usage
from billing.payments import top_up_audit
from billing.prices import versions as prices
from billing.token_usage import TokenUsage

Kind = LedgerEntry.Kind
BATCH = 1_000
# The message that starts the chore.
WAKE = "audit"
# Bounds the report when everything is wrong.
MAX_LINES = 1_000
# Kinds that may make a balance negative: money taken back after it was spent.
TAKES_BACK = (Kind.REFUND, Kind.DISPUTE, Kind.ADJUSTMENT)


@dataclass(slots=True)
class Findings:
    """`checked`: {kind of row: count}. `differences`: one sentence for each fault found."""

    checked: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def add(self, kind: str, count: int, differences: Iterator[str] | list[str]) -> None:
        self.checked[kind] = self.checked.get(kind, 0) + count
        for line in differences:
            if len(self.differences) < MAX_LINES:
                self.differences.append(line)


# Checks of the apps above; each adds its findings.
checks: list[Callable[[Findings], Awaitable[None]]] = []


def request(staff_id: uuid.UUID) -> bool:
    """Let a worker audit the books now; False if that is requested already. Sync."""
    if AuditRequest.objects.exists():
        return False
    AuditRequest.objects.create(at=timezone.now(), staff_id=staff_id)
    wake_workers(WAKE)
    return True


def is_due(every: timedelta) -> bool:
    """Whether an audit is requested, or the last one began longer ago than `every`. Sync."""
    if AuditRequest.objects.exists():
        return True
    return not AuditRun.objects.filter(started_at__gte=timezone.now() - every).exists()


async def run() -> AuditRun:
    """Run the whole audit and store its result. Fulfils the requests made before."""
    started_at = timezone.now()
    findings = await sync_to_async(_books_in_own_thread, thread_sensitive=False)()
    for check in checks:
        await check(findings)
    audit_run = await AuditRun.objects.acreate(
        started_at=started_at,
        finished_at=timezone.now(),
        checked=findings.checked,
        differences=findings.differences,
    )
    await AuditRequest.objects.filter(at__lte=started_at).adelete()
    return audit_run


def books() -> Findings:
    """Compare the sums in the database with their rows. Sync."""
    findings = Findings()
    findings.add("purses", Purse.objects.count(), _purses())
    findings.add("entries", LedgerEntry.objects.count(), _entries())
    findings.add("holds", Hold.objects.count(), _holds())
    findings.add("usage", Usage.objects.count(), _usage())
    findings.add("top-ups", TopUp.objects.count(), top_up_audit.differences())
    return findings


def _books_in_own_thread() -> Findings:
    """Run `books` outside the worker's database thread, which serves the answers."""
    try:
        return books()
    finally:
        connections.close_all()


def _purses() -> Iterator[str]:
    purses = Purse.objects.annotate(
        given=_sum(LedgerEntry.objects.filter(purse_id=OuterRef("person_id")), "amount_micro_usd"),
        count=_count(LedgerEntry.objects.filter(purse_id=OuterRef("person_id"))),
        open=_sum(
            Hold.objects.filter(purse_id=OuterRef("person_id"), state=Hold.State.OPEN),
            "amount_micro_usd",
        ),
        taken_back=Exists(
            LedgerEntry.objects.filter(purse_id=OuterRef("person_id"), kind__in=TAKES_BACK)
        ),
    )
    for purse in purses.exclude(given=F("balance_micro_usd")).iterator(BATCH):
        yield (
            f"purse {purse.person_id}: shows {purse.balance_micro_usd}, "
            f"its entries add up to {purse.given}"
        )
    for purse in purses.exclude(count=F("entries")).iterator(BATCH):
        yield f"purse {purse.person_id}: counts {purse.entries} entries, there are {purse.count}"
    for purse in purses.exclude(open=F("held_micro_usd")).iterator(BATCH):
        yield (
            f"purse {purse.person_id}: shows {purse.held_micro_usd} held, "
            f"its open holds add up to {purse.open}"
        )
    overdrawn = purses.filter(taken_back=False)
    for purse in overdrawn.filter(balance_micro_usd__lt=F("held_micro_usd")).iterator(BATCH):
        yield (
            f"purse {purse.person_id}: {purse.held_micro_usd} held of {purse.balance_micro_usd}, "
            "and nothing was taken back"
        )


def _entries() -> Iterator[str]:
    running = Window(Sum("amount_micro_usd"), partition_by="purse_id", order_by=F("number").asc())
    entries = LedgerEntry.objects.annotate(running=running)
    for entry in (
        entries.exclude(running=F("balance_after_micro_usd")).order_by("id").iterator(BATCH)
    ):
        yield (
            f"entry {entry.key}: says {entry.balance_after_micro_usd} after it, "
            f"the entries up to it add up to {entry.running}"
        )
    for repeated in (
        LedgerEntry.objects.values("key").annotate(count=Count("id")).filter(count__gt=1)
    ):
        yield f"entry {repeated['key']}: booked {repeated['count']} times"
    same = Usage.objects.filter(
        key=OuterRef("key"), person_id=OuterRef("purse_id"), price_id=OuterRef("price_id")
    )
    paid = _sum(same, "charged_micro_usd")
    charges = LedgerEntry.objects.filter(kind=Kind.CHARGE).annotate(used=paid)
    for charge in charges.exclude(amount_micro_usd=-F("used")).iterator(BATCH):
        yield f"charge {charge.key}: took {-charge.amount_micro_usd}, its usage says {charge.used}"


def _holds() -> Iterator[str]:
    drawn = -_sum(LedgerEntry.objects.filter(hold_id=OuterRef("id")), "amount_micro_usd")
    for hold in (
        Hold.objects.annotate(drawn=drawn).exclude(charged_micro_usd=F("drawn")).iterator(BATCH)
    ):
        yield (
            f"hold {hold.key}: says {hold.charged_micro_usd} were charged, "
            f"its charges add up to {hold.drawn}"
        )
    for wrong in Hold.objects.filter(
        Q(amount_micro_usd__lt=0) | (Q(state=Hold.State.CLOSED) & ~Q(amount_micro_usd=0))
    ):
        yield f"hold {wrong.key}: is {wrong.state} with {wrong.amount_micro_usd}"


def _usage() -> Iterator[str]:
    charge = LedgerEntry.objects.filter(key=OuterRef("key"), kind=Kind.CHARGE)
    unbooked = Usage.objects.filter(~Exists(charge), charged_micro_usd__gt=0)
    for usage in unbooked.iterator(BATCH):
        yield f"usage {usage.key}: {usage.charged_micro_usd} charged, but nothing was booked"
    for usage in Usage.objects.filter(charged_micro_usd__gt=F("cost_micro_usd")).iterator(BATCH):
        yield f"usage {usage.key}: {usage.charged_micro_usd} charged for {usage.cost_micro_usd}"
    by_price = Usage.objects.filter(price__isnull=False, cost_by_provider=False)
    for usage in by_price.select_related("price").iterator(BATCH):
        assert usage.price is not None
        cost = prices.cost_of(usage.price, TokenUsage.from_row(usage))
        if cost != usage.cost_micro_usd:
            yield f"usage {usage.key}: says {usage.cost_micro_usd}, its price says {cost}"


def _sum(rows: QuerySet[Any], column: str) -> Coalesce:
    """The sum over the matching rows; 0 if there are none."""
    total = rows.order_by().values(_one=Value(1)).annotate(total=Sum(column)).values("total")
    return Coalesce(Subquery(total, output_field=BigIntegerField()), 0)


def _count(rows: QuerySet[Any]) -> Coalesce:
    total = rows.order_by().values(_one=Value(1)).annotate(total=Count("*")).values("total")
    return Coalesce(Subquery(total, output_field=BigIntegerField()), 0)
