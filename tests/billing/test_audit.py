"""The audit: correct books have no differences, and each fault, even of one micro-dollar, has a
line."""

import uuid

import pytest

from billing import audit, holds, ledger
from billing.models import Hold, Price
from billing.token_usage import TokenUsage
from tests.billing.tampering import tamper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
def books(payer, monkeypatch):
    """A top-up, a charged answer, an answer in progress and a free one."""
    monkeypatch.setattr(ledger, "on_change", [])
    ledger.post(payer.id, "top_up", 1_000_000, key="t")
    price = price_of_tests()
    for number in (1, 2):
        call = call_of(payer, price, number)
        holds.place(payer, call.hold_key, price, 10, chat_id=None, reply_id=call.reply_id)
        holds.reserve(payer, call, price, 10, 300)
        if number == 1:
            holds.charge(call, TokenUsage(10, 15), last=True)
    return payer


def price_of_tests():
    return Price.objects.create(
        model="m",
        version=1,
        valid_from="2026-01-01T00:00:00Z",
        source="staff",
        input_micro_usd=10_000_000,
        output_micro_usd=20_000_000,
    )


def call_of(person, price, number):
    reply = uuid.UUID(int=number)
    key = holds.answer_key(reply)
    return holds.Call(key, f"{key}:1", "answer", person.id, price.model, None, reply, 1)


def test_correct_books_have_no_differences(books):
    findings = audit.books()
    assert findings.differences == []
    assert findings.checked == {"purses": 1, "entries": 2, "holds": 2, "usage": 1, "top-ups": 0}


@pytest.mark.parametrize(
    ("table", "change", "line"),
    [
        ("purse", "balance_micro_usd = balance_micro_usd - 1", "its entries add up to 999600"),
        ("purse", "entries = entries + 1", "counts 3 entries, there are 2"),
        ("purse", "held_micro_usd = held_micro_usd + 1", "its open holds add up to 6100"),
        (
            "ledgerentry",
            "balance_after_micro_usd = balance_after_micro_usd + 1 WHERE number = 1",
            "the entries up to it add up to 1000000",
        ),
        (
            "hold",
            "charged_micro_usd = charged_micro_usd + 1 WHERE state = 'closed'",
            "says 401 were charged, its charges add up to 400",
        ),
        ("usage", "charged_micro_usd = charged_micro_usd - 1", "took 400, its usage says 399"),
        ("usage", "cost_micro_usd = cost_micro_usd + 1", "says 401, its price says 400"),
        ("usage", "completion_tokens = completion_tokens + 1", "says 400, its price says 420"),
        ("price", "output_micro_usd = output_micro_usd + 1", "says 400, its price says 401"),
    ],
)
def test_each_fault_has_its_line(books, table, change, line):
    tamper(f"UPDATE billing_{table} SET {change}", table)
    [difference] = audit.books().differences
    assert line in difference


def test_a_missing_charge_is_reported(books):
    tamper("DELETE FROM billing_ledgerentry WHERE kind = 'charge'", "ledgerentry")
    lines = "\n".join(audit.books().differences)
    assert "usage answer:00000000-0000-0000-0000-000000000001:1: 400 charged, but nothing" in lines
    assert "says 400 were charged, its charges add up to 0" in lines
    assert "shows 999600, its entries add up to 1000000" in lines


def test_a_missing_usage_is_reported(books):
    tamper("DELETE FROM billing_usage", "usage")
    [difference] = audit.books().differences
    assert "took 400, its usage says 0" in difference


def test_holding_more_than_the_balance_is_reported_unless_money_was_taken_back(books):
    for table in ("hold", "purse"):
        column = "amount_micro_usd" if table == "hold" else "held_micro_usd"
        where = " WHERE state = 'open'" if table == "hold" else ""
        tamper(f"UPDATE billing_{table} SET {column} = 999601{where}", table)
    [difference] = audit.books().differences
    assert "999601 held of 999600, and nothing was taken back" in difference
    ledger.post(books.id, "adjustment", -1, key="a", reason="Taken back")
    assert audit.books().differences == []
    assert Hold.objects.filter(state="open").count() == 1


def test_the_report_is_limited_to_a_thousand_lines():
    findings = audit.Findings()
    findings.add("purses", 5, (str(n) for n in range(3_000)))
    assert (len(findings.differences), findings.checked) == (1_000, {"purses": 5})
