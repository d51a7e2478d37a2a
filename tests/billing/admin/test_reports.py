"""Reports by day and model, compared with sums computed row by row."""

import random
import uuid
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import holds, ledger
from billing.admin import reports
from billing.models import LedgerEntry, Price, Purse, TopUp, Usage
from billing.pages import charts
from billing.payments import top_ups
from billing.token_usage import TokenUsage

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
FIRST, LAST = date(2026, 2, 20), date(2026, 3, 5)
MODELS = ("openrouter/dear", "openrouter/cheap", "my/own")


@pytest.fixture
def people():
    return [User.objects.create_user(f"{name}@example.org", "x") for name in ("alice", "bob", "cy")]


@pytest.fixture
def dear():
    return Price.objects.create(
        model=MODELS[0],
        version=1,
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        source="staff",
        input_micro_usd=1_000_000,
        output_micro_usd=2_000_000,
    )


class Life:
    """Performs payments, refunds and calls at given times with the real code.

    Records separately what the ledger does not have: cents paid and returned, by day.
    """

    def __init__(self, people, price, seed):
        self.random = random.Random(seed)
        self.people, self.price = people, price
        self.paid: dict[date, int] = defaultdict(int)
        self.top_ups: list[TopUp] = []

    def go_on(self, acts):
        for _ in range(acts):
            seconds = self.random.randrange(int(timedelta(days=16).total_seconds()))
            moment = datetime(2026, 2, 19, tzinfo=UTC) + timedelta(seconds=seconds)
            with time_machine.travel(moment, tick=False):
                self.random.choice([self.pay, self.give_back, self.gift, *[self.call] * 3])()

    def pay(self):
        person, credit = self.random.choice(self.people), self.random.choice([500, 2_000, 10_000])
        top_up = top_ups.order(person.id, uuid.uuid4(), credit)
        top_up.state, top_up.paid_at = TopUp.State.PAID, timezone.now()
        top_up.save()
        top_ups._credit(top_up)
        self.paid[timezone.now().date()] += top_up.total_cents
        self.top_ups.append(top_up)

    def give_back(self):
        """Return money by a refund or a dispute, or get it back by winning the dispute."""
        if not self.top_ups:
            return
        top_up = self.random.choice(self.top_ups)
        before = (top_up.refunded_cents, top_up.disputed_cents)
        left = top_up.total_cents - sum(before)
        cents = self.random.randint(0, left)
        kind = self.random.choice(["refund", "dispute", "won"])
        if kind == "won":
            cents, top_up.disputed_cents = -top_up.disputed_cents, 0
        else:
            name = "refunded_cents" if kind == "refund" else "disputed_cents"
            setattr(top_up, name, getattr(top_up, name) + cents)
        top_up.looks += 1
        top_up.save()
        was = top_ups._taken(top_up, *before)
        now = top_ups._taken(top_up, top_up.refunded_cents, top_up.disputed_cents)
        top_ups._post_change(top_up, "refund", "refund", was[0] - now[0])
        top_ups._post_change(top_up, "dispute", "dispute_won", was[1] - now[1])
        self.paid[timezone.now().date()] -= cents

    def gift(self):
        amount = self.random.choice([-1, 1]) * self.random.randint(1, 9_999_999)
        person = self.random.choice(self.people)
        ledger.post(person.id, "adjustment", amount, key=str(uuid.uuid4()), reason="Sorry")

    def call(self):
        person, model = self.random.choice(self.people), self.random.choice(MODELS)
        tokens = [self.random.randint(0, 3_000) for _ in range(2)]
        reply = uuid.uuid4()
        free = {"my/own": "own_key", "openrouter/cheap": "house"}.get(model, "")
        # The provider may report a higher cost than was held.
        reported_cost = self.random.choice([None, self.random.randint(0, 20_000)])
        call = holds.Call(
            holds.answer_key(reply),
            f"a:{reply}:1",
            "answer",
            person.id,
            model,
            None,
            reply,
            1,
            free,
        )
        if not free:
            try:
                with transaction.atomic():
                    holds.reserve(person, call, self.price, tokens[0], max(tokens[1], 1))
            except holds.OutOfCredit:
                return
        holds.charge(
            call, TokenUsage(*tokens, 0, 0, reported_cost, reported_cost is None), last=True
        )


def cents(amount):
    assert amount % 10_000 == 0
    return amount // 10_000


@pytest.mark.parametrize("seed", range(3))
def test_reports_and_lists_equal_the_sums_of_the_rows(client, finance, people, dear, seed):
    life = Life(people, dear, seed)
    life.go_on(120)
    report = reports.make_report(FIRST, LAST)
    assert [day.day for day in report.days] == [FIRST + timedelta(days=n) for n in range(14)]
    entries, calls = list(LedgerEntry.objects.all()), list(Usage.objects.all())
    for day in report.days:
        booked = [entry for entry in entries if entry.at.astimezone(UTC).date() == day.day]
        used = [call for call in calls if call.day == day.day]
        paid_calls = [call for call in used if call.free in ("", "house")]
        assert cents(day.revenue) == life.paid[day.day]
        assert day.given == sum(e.amount_micro_usd for e in booked if e.kind == "adjustment")
        assert day.spend == -sum(e.amount_micro_usd for e in booked if e.kind == "charge")
        # The report has every booking once.
        credited = day.revenue - day.fees + day.given - day.spend
        assert credited == sum(entry.amount_micro_usd for entry in booked)
        assert day.cost == sum(call.cost_micro_usd for call in paid_calls)
        assert day.borne == sum(call.cost_micro_usd - call.charged_micro_usd for call in paid_calls)
        assert day.tokens == sum(call.prompt_tokens + call.completion_tokens for call in used)
        assert day.people == len({call.person_id for call in used})
        assert day.margin == day.revenue - day.cost
    for name in ("revenue", "fees", "given", "spend", "cost", "tokens", "calls"):
        assert getattr(report.total, name) == sum(getattr(day, name) for day in report.days)
    for name in ("spend", "cost", "tokens", "calls"):
        assert getattr(report.total, name) == sum(getattr(row, name) for row in report.models)
    for model in report.models:
        of_one = reports.make_report(FIRST, LAST, model.model).total
        for name in ("spend", "cost", "tokens", "calls", "people", "margin"):
            assert getattr(of_one, name) == getattr(model, name)
    # A day's lists agree, although the reader's time zone has another day.
    day = next(day for day in report.days if day.spend)
    parameters = {"at__year": day.day.year, "at__month": day.day.month, "at__day": day.day.day}
    shown = client.get(reverse("admin:billing_usage_changelist"), parameters).context["cl"].queryset
    assert sum(call.charged_micro_usd for call in shown) == day.spend
    shown = (
        client.get(reverse("admin:billing_ledgerentry_changelist"), parameters)
        .context["cl"]
        .queryset
    )
    assert sum(e.amount_micro_usd for e in shown) == day.revenue - day.fees + day.given - day.spend


def test_a_full_refund_leaves_no_revenue_and_no_fee(people):
    top_up = top_ups.order(people[0].id, uuid.uuid4(), 2_000)
    top_up.state, top_up.paid_at, top_up.refunded_cents = "paid", timezone.now(), 2_200
    top_up.save()
    top_ups._credit(top_up)
    top_ups._post_change(top_up, "refund", "refund", -top_up.share_micro_usd(2_200))
    total = reports.make_report(timezone.now().date(), timezone.now().date()).total
    assert (total.revenue, total.fees) == (0, 0)


@pytest.mark.parametrize("paid", [550, 1_100, 2_200, 5_500, 11_000])
def test_returned_money_is_computed_from_the_credit_taken_back(paid):
    top_up = TopUp(credit_cents=paid * 10 // 11, total_cents=paid)
    for before in (0, 1, 333):
        for back in range(1, paid - before, 7):
            took = top_up.share_micro_usd(before + back) - top_up.share_micro_usd(before)
            assert reports.money_of(-took, paid, top_up.credit_cents) == -back * 10_000
            assert reports.money_of(took, paid, top_up.credit_cents) == back * 10_000


def test_a_report_reads_no_charges_and_no_other_days(people):
    """SQLite calls Python for the day of each row it reads, which blocks everything else."""
    with CaptureQueriesContext(connection) as queries:
        reports.make_report(FIRST, LAST)
    statements = [query["sql"] for query in queries if 'FROM "billing_ledgerentry"' in query["sql"]]
    assert len(statements) == 2 and len(queries) == 5
    for sql in statements:
        condition = sql.partition(" WHERE ")[2].partition(" GROUP BY ")[0]
        assert '"at" >=' in condition and '"at" <' in condition and "charge" in condition
        assert "cast" not in condition.lower() and "AT TIME ZONE" not in condition


# Charts


def test_a_chart_draws_losses_below_zero():
    drawn = charts.chart([("a", 40), ("b", -90), ("c", 0)])
    assert [value for _, value in drawn.lines] == [-100, -50, 0, 50]
    zero = next(float(y) for y, value in drawn.lines if value == 0)
    gain, loss, _ = drawn.bars
    assert (
        float(gain.y) + float(gain.height) == pytest.approx(zero, abs=0.02)
        and float(loss.y) == zero
    )
    assert float(loss.height) / float(gain.height) == pytest.approx(90 / 40, rel=0.01)
    assert float(loss.y) + float(loss.height) <= drawn.height - charts.BOTTOM
    assert [value for _, value in charts.chart([("a", -7)]).lines] == [-10, -5, 0]
    assert [value for _, value in charts.chart([("a", 7)]).lines] == [0, 5, 10]
    assert charts.chart([("a", 0)]).is_empty and not drawn.is_empty


def test_the_page_charts_losses_and_omits_empty_charts(client, finance, people, dear):
    page = reverse("admin:billing_books_changelist")
    assert client.get(page).content.count(b"Nothing on these days.") == 6
    ledger.post(people[0].id, "adjustment", 5_000_000, key="a", reason="Sorry")
    Life(people[:1], dear, 1).call()
    if not Usage.objects.filter(cost_micro_usd__gt=0).exists():
        Usage.objects.create(
            key="house", person_id=people[0].id, purpose="answer", model=MODELS[0], free="house",
            day=timezone.now().date(), prompt_tokens=1, completion_tokens=1,
            cost_micro_usd=5, charged_micro_usd=0,
        )  # fmt: skip
    shown = client.get(page)
    assert b"chart-bar chart-loss" in shown.content
    margin = next(chart for chart in shown.context["charts"] if str(chart["title"]) == "Margin")
    assert margin["total"] < 0


# Requests


@pytest.mark.parametrize(
    ("first", "last"),
    [("9999-12-30", "9999-12-31"), ("0001-01-01", "0001-01-02"), ("2026-02-30",) * 2],
)
def test_hostile_dates_break_no_page_or_download(client, finance, first, last):
    parameters = {"first": first, "last": last}
    page = client.get(reverse("admin:billing_books_changelist"), parameters)
    assert page.status_code == HTTPStatus.OK and b"errorlist" in page.content
    answer = client.get(reverse("admin:billing_books_csv"), parameters, follow=True)
    assert answer.status_code == HTTPStatus.OK and b"errorlist" in answer.content


def test_the_csv_by_model(client, finance, people):
    Usage.objects.create(
        key="house", person_id=people[0].id, purpose="answer", model="=openrouter/x", free="house",
        day=date(2026, 3, 1), prompt_tokens=1, completion_tokens=2,
        cost_micro_usd=5, charged_micro_usd=0,
    )  # fmt: skip
    parameters = {"first": "2026-03-01", "last": "2026-03-01", "by": "model"}
    answer = client.get(reverse("admin:billing_books_csv"), parameters)
    assert answer.getvalue().decode("utf-8-sig").splitlines() == [
        "model,spend_usd,cost_usd,margin_usd,tokens,calls,people",
        "'=openrouter/x,0.000000,0.000005,-0.000005,3,1,1",
    ]


def test_credit_of_deleted_people_is_summed_separately(client, finance, people):
    ledger.post(people[0].id, "adjustment", 5_000_000, key="a", reason="Sorry")
    ledger.post(people[1].id, "adjustment", -2_000_000, key="b", reason="Sorry")
    ledger.post(uuid.uuid4(), "adjustment", 700_000, key="c", reason="Sorry")
    # The sign-up credit of the reader.
    own = Purse.objects.get(person_id=finance.id).balance_micro_usd
    purses = client.get(reverse("admin:billing_books_balance")).context["purses"]
    assert purses == {
        "people": 3, "credit": 5_000_000 + own, "owed": -2_000_000, "left": 700_000, "held": 0,
    }  # fmt: skip
