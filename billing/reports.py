"""What operators want to know of a stretch of days: money in, what was spent, what calls cost.

Days are UTC. Everything is summed in the database; sync, read only.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, timedelta

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from billing.models import LedgerEntry, Usage

Kind = LedgerEntry.Kind
# Calls that cost the operator money: not those of local models and of people's own keys.
PAID_BY_US = ~Q(free__in=(Usage.Free.LOCAL, Usage.Free.OWN_KEY))
TOKENS = Sum(F("prompt_tokens") + F("completion_tokens"), default=0)
COST = Sum("cost_micro_usd", filter=PAID_BY_US, default=0)
SPEND = Sum("charged_micro_usd", default=0)
PEOPLE = Count("person_id", distinct=True)


@dataclass(slots=True)
class Sums:
    """Of a day, or of all of them. Micro-USD.

    revenue  paid by people, fees included, less what was refunded or is disputed
    given    credit given for nothing: at sign-up, to guests, after a month, by staff
    spend    credit used up
    cost     what the calls cost at their providers
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


@dataclass(frozen=True, slots=True)
class OfModel:
    model: str
    calls: int
    people: int
    tokens: int
    spend: int
    cost: int


@dataclass(slots=True)
class Report:
    first: date
    last: date
    days: list[Sums] = field(default_factory=list)
    models: list[OfModel] = field(default_factory=list)
    total: Sums = field(default_factory=Sums)


def report(first: date, last: date) -> Report:
    """Both days included."""
    found = Report(first, last)
    by_day = {
        first + timedelta(days=n): Sums(day=first + timedelta(days=n))
        for n in range((last - first).days + 1)
    }
    _add_ledger(by_day)
    used = Usage.objects.filter(day__gte=first, day__lte=last).order_by()
    _add_usage(by_day, used)
    found.days = list(by_day.values())
    found.models = _models(used)
    found.total = _total(found.days)
    found.total.people = used.aggregate(people=PEOPLE)["people"]
    return found


def _add_ledger(by_day: dict[date, Sums]) -> None:
    days = list(by_day)
    entries = LedgerEntry.objects.annotate(day=TruncDate("at", tzinfo=UTC))
    entries = entries.filter(day__gte=days[0], day__lte=days[-1]).order_by()
    for row in entries.values("day", "kind").annotate(amount=Sum("amount_micro_usd")):
        sums, amount = by_day[row["day"]], row["amount"]
        match row["kind"]:
            case Kind.TOP_UP | Kind.REFUND | Kind.DISPUTE | Kind.DISPUTE_WON:
                sums.revenue += amount
            case Kind.FEE:
                sums.fees -= amount
            case Kind.CHARGE:
                pass  # Counted with the calls.
            case _:
                sums.given += amount


def _add_usage(by_day: dict[date, Sums], used: QuerySet[Usage]) -> None:
    for row in used.values("day").annotate(
        spend=SPEND, cost=COST, tokens=TOKENS, calls=Count("id"), people=PEOPLE
    ):
        sums = by_day[row["day"]]
        sums.spend, sums.cost = row["spend"], row["cost"]
        sums.tokens, sums.calls, sums.people = row["tokens"], row["calls"], row["people"]


def _models(used: QuerySet[Usage]) -> list[OfModel]:
    rows = used.values("model").annotate(
        calls=Count("id"), people=PEOPLE, tokens=TOKENS, spend=SPEND, cost=COST
    )
    return [OfModel(**row) for row in rows.order_by("-spend", "-calls", "model")]


def _total(days: list[Sums]) -> Sums:
    names = ("revenue", "fees", "given", "spend", "cost", "tokens", "calls")
    return Sums(**{name: sum(getattr(day, name) for day in days) for name in names})
