"""Reports over a range of days: revenue, spend and cost of calls.

Days are UTC. Everything is summed in the database except refunds and disputes: the ledger has the
credit that was taken back, from which the money returned is computed. Sync, read-only.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import TruncDate

from billing.models import LedgerEntry, TopUp, Usage
from billing.money import MICRO_PER_CENT

Kind = LedgerEntry.Kind
MONEY_BACK = (Kind.REFUND, Kind.DISPUTE, Kind.DISPUTE_WON)
# Excludes calls of local models and of people's own keys, which cost the operator nothing.
PAID_BY_US = ~Q(free__in=(Usage.Free.LOCAL, Usage.Free.OWN_KEY))
# The audit runs every night; after this long without one it is not running.
LATE_AFTER = timedelta(hours=48)
TOKENS = Sum(F("prompt_tokens") + F("completion_tokens"), default=0)
COST = Sum("cost_micro_usd", filter=PAID_BY_US, default=0)
SPEND = Sum("charged_micro_usd", default=0)
PEOPLE = Count("person_id", distinct=True)


@dataclass(slots=True)
class Sums:
    """Sums of one day, or of all days. Amounts are micro-USD.

    revenue  payments with fees, less refunds and disputes; in the report of one model, its spend
    fees     the part of the revenue that is not credit
    given    credit granted for nothing: at sign-up, to guests, after a month, by staff
    spend    credit used up
    cost     cost of the calls at their providers
    """

    day: date | None = None
    revenue: int = 0
    fees: int = 0
    given: int = 0
    spend: int = 0
    cost: int = 0
    tokens: int = 0
    calls: int = 0
    people: int = 0

    @property
    def margin(self) -> int:
        return self.revenue - self.cost

    @property
    def borne(self) -> int:
        """Cost of calls that nobody's credit paid for."""
        return self.cost - self.spend


@dataclass(frozen=True, slots=True)
class ModelSums:
    model: str
    calls: int
    people: int
    tokens: int
    spend: int
    cost: int

    @property
    def margin(self) -> int:
        return self.spend - self.cost


@dataclass(slots=True)
class Report:
    """A report of all models, or of `model` only, without payments and grants then."""

    first: date
    last: date
    model: str = ""
    days: list[Sums] = field(default_factory=list)
    models: list[ModelSums] = field(default_factory=list)
    total: Sums = field(default_factory=Sums)


def make_report(first: date, last: date, model: str = "") -> Report:
    """The report from `first` to `last`, inclusive."""
    report = Report(first, last, model)
    by_day = {
        first + timedelta(days=n): Sums(day=first + timedelta(days=n))
        for n in range((last - first).days + 1)
    }
    used = Usage.objects.filter(day__gte=first, day__lte=last).order_by()
    report.models = _models(used)
    if model:
        used = used.filter(model=model)
    else:
        _add_ledger(by_day)
    _add_usage(by_day, used)
    report.days = list(by_day.values())
    if model:
        for day in report.days:
            day.revenue = day.spend
    report.total = _total(report.days)
    report.total.people = used.aggregate(people=PEOPLE)["people"]
    return report


def sums_of_day(day: date, *, with_ledger: bool) -> Sums:
    """The sums of one day; without payments and grants unless `with_ledger`."""
    by_day = {day: Sums(day=day)}
    if with_ledger:
        _add_ledger(by_day)
    _add_usage(by_day, Usage.objects.filter(day=day).order_by())
    return by_day[day]


def _add_ledger(by_day: dict[date, Sums]) -> None:
    """Add payments and grants. Charges are left out, because usage has them and because SQLite
    calls Python for the day of each entry."""
    days = list(by_day)
    entries = (
        LedgerEntry.objects.filter(at__gte=_midnight(days[0]), at__lt=_midnight(days[-1], after=1))
        .exclude(kind=Kind.CHARGE)
        .annotate(day=TruncDate("at", tzinfo=UTC))
        .order_by()
    )
    sums = entries.exclude(kind__in=MONEY_BACK).values_list("day", "kind")
    for day, kind, amount in sums.annotate(amount=Sum("amount_micro_usd")):
        match kind:
            case Kind.TOP_UP:
                by_day[day].revenue += amount
            case Kind.FEE:
                by_day[day].fees -= amount
            case _:
                by_day[day].given += amount
    top_up = TopUp.objects.filter(pk=OuterRef("top_up_id"))
    back = entries.filter(kind__in=MONEY_BACK).annotate(
        paid=Subquery(top_up.values("total_cents")), credit=Subquery(top_up.values("credit_cents"))
    )
    for day, amount, paid, credit in back.values_list(
        "day", "amount_micro_usd", "paid", "credit"
    ).iterator():
        money = money_of(amount, paid, credit) if paid else amount
        by_day[day].revenue += money
        by_day[day].fees += money - amount


def money_of(credit_micro_usd: int, paid_cents: int, credit_cents: int) -> int:
    """Money returned, in micro-USD but whole cents, when this much of a payment's credit was taken
    back. Inverse of TopUp.share_micro_usd, whose rounding loses less than a micro-USD."""
    whole = credit_cents * MICRO_PER_CENT
    cents = (2 * abs(credit_micro_usd) * paid_cents + whole) // (2 * whole)
    return cents * MICRO_PER_CENT * (1 if credit_micro_usd > 0 else -1)


def _midnight(day: date, *, after: int = 0) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=after)


def _add_usage(by_day: dict[date, Sums], used: QuerySet[Usage]) -> None:
    for row in used.values("day").annotate(
        spend=SPEND, cost=COST, tokens=TOKENS, calls=Count("id"), people=PEOPLE
    ):
        sums = by_day[row["day"]]
        sums.spend, sums.cost = row["spend"], row["cost"]
        sums.tokens, sums.calls, sums.people = row["tokens"], row["calls"], row["people"]


def _models(used: QuerySet[Usage]) -> list[ModelSums]:
    rows = used.values("model").annotate(
        calls=Count("id"), people=PEOPLE, tokens=TOKENS, spend=SPEND, cost=COST
    )
    return [ModelSums(**row) for row in rows.order_by("-spend", "-calls", "model")]


def _total(days: list[Sums]) -> Sums:
    names = ("revenue", "fees", "given", "spend", "cost", "tokens", "calls")
    return Sums(**{name: sum(getattr(day, name) for day in days) for name in names})
