"""Each constraint and trigger on its own, with a change that no other one refuses."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from billing import audit, ledger
from billing.models import AuditRun, Hold, LedgerEntry, Price, Purse, SignUpClaim, TopUp, Usage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
ALICE, BOB = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def price(transactional_db, monkeypatch):
    monkeypatch.setattr(ledger, "on_change", [])
    return a_price()


def a_price(**rates):
    given = {"input_micro_usd": 1, "output_micro_usd": 1} | rates
    return Price.objects.create(
        model="m", version=1, valid_from=timezone.now(), source="staff", **given
    )


@pytest.fixture
def purse(price):
    """A balance of 1,000,000 in two entries."""
    for number in range(2):
        ledger.post(ALICE, "top_up", 500_000, key=f"t{number}")
    return Purse.objects.get(person_id=ALICE)


@pytest.fixture
def hold(purse, price):
    """A hold of 100, of which 60 are drawn but not booked yet."""
    hold = a_hold(purse, price, 100)
    Hold.objects.filter(id=hold.id).update(charged_micro_usd=60, amount_micro_usd=40)
    return hold


def a_hold(purse, price, amount, key="answer:1", **fields):
    return Hold.objects.create(
        key=key, purse=purse, amount_micro_usd=amount, model="m", price=price, **fields
    )


def an_entry(purse, amount, key="c", kind="charge", **fields):
    purse = Purse.objects.get(person_id=purse.person_id)
    return LedgerEntry.objects.create(
        purse=purse,
        number=purse.entries + 1,
        kind=kind,
        amount_micro_usd=amount,
        balance_after_micro_usd=purse.balance_micro_usd + amount,
        key=key,
        **fields,
    )


def a_usage(**fields):
    tokens = {"prompt_tokens": 1, "completion_tokens": 1}
    costs = {"cost_micro_usd": 5, "charged_micro_usd": 0, "free": "house"}
    defaults = {"purpose": "answer", "model": "m", "day": "2028-02-29", "key": "answer:1:1"}
    return Usage.objects.create(person_id=ALICE, **{**defaults, **tokens, **costs, **fields})


def a_top_up(**fields):
    cents = {"credit_cents": 500, "fee_cents": 50, "total_cents": 550}
    return TopUp.objects.create(person_id=ALICE, expires_at=timezone.now(), **{**cents, **fields})


def refused(change, *arguments, **fields):
    with pytest.raises(DatabaseError), transaction.atomic():
        change(*arguments, **fields)


def execute(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


# Never changed, never deleted


@pytest.mark.parametrize(
    ("table", "column"),
    [("price", "model"), ("usage", "model"), ("signupclaim", "address_hash"), ("purse", None)],
)
def test_append_only_rows_are_not_changed_or_deleted(price, table, column):
    a_usage()
    SignUpClaim.objects.create(address_hash="0" * 64)
    Purse.objects.create(person_id=BOB)
    if column:
        refused(execute, f"UPDATE billing_{table} SET {column} = 'x'")
    refused(execute, f"DELETE FROM billing_{table}")


def test_audit_results_are_not_changed_or_deleted(price):
    now = timezone.now()
    AuditRun.objects.create(started_at=now, finished_at=now, checked={}, differences=["1"])
    refused(AuditRun.objects.update, differences=[])
    refused(execute, "DELETE FROM billing_auditrun")


# Holds


def test_a_hold_begins_open_and_unused(purse, price):
    refused(a_hold, purse, price, 0, state="closed")
    refused(a_hold, purse, price, 5, charged_micro_usd=5)
    # A negative hold would let others exceed the balance.
    a_hold(purse, price, 5)
    refused(a_hold, purse, price, -5, "answer:2")


def test_a_closed_hold_stays_as_it_is(purse, price):
    hold = a_hold(purse, price, 5)
    mine = Hold.objects.filter(id=hold.id)
    refused(mine.update, state="closed")  # The same holds for a change together with its amount.
    mine.update(state="closed", amount_micro_usd=0)
    refused(mine.update, model="another")
    refused(mine.update, state="open")


def test_a_holds_owner_and_key_never_change(hold):
    Purse.objects.create(person_id=BOB)
    mine = Hold.objects.filter(id=hold.id)
    refused(mine.update, key="answer:2")
    refused(mine.update, purse_id=BOB)
    refused(mine.update, charged_micro_usd=59)
    refused(mine.update, charged_micro_usd=61)
    mine.update(charged_micro_usd=61, amount_micro_usd=39)


def test_a_hold_can_always_be_reduced(purse, price):
    hold = a_hold(purse, price, 1_000_000)
    ledger.post(ALICE, "refund", -900_000, key="r")
    Hold.objects.filter(id=hold.id).update(amount_micro_usd=500_000)
    refused(Hold.objects.filter(id=hold.id).update, amount_micro_usd=500_001)
    assert ledger.balance(ALICE).held_micro_usd == 500_000


# Purses


def test_a_purse_cannot_return_to_an_earlier_entry(purse):
    refused(Purse.objects.update, entries=1, balance_micro_usd=500_000)


def test_a_purses_owner_never_changes(price):
    Purse.objects.create(person_id=BOB)
    refused(Purse.objects.update, person_id=ALICE)


# Entries


def test_a_charge_is_drawn_from_a_hold_of_the_same_person(hold, price):
    ledger.post(BOB, "top_up", 500, key="b")
    bobs = Purse.objects.get(person_id=BOB)
    refused(an_entry, bobs, -60, hold=hold, price=price)
    an_entry(hold.purse, -60, hold=hold, price=price)


def test_a_drawn_amount_is_booked_once(hold, price):
    an_entry(hold.purse, -40, hold=hold, price=price)
    refused(an_entry, hold.purse, -21, key="d", hold=hold, price=price)
    an_entry(hold.purse, -20, key="d", hold=hold, price=price)
    refused(an_entry, hold.purse, -1, key="e", hold=hold, price=price)
    assert ledger.balance(ALICE) == ledger.Balance(999_940, 40, 999_900)


def test_a_charge_names_its_price(hold):
    refused(an_entry, hold.purse, -60, hold=hold)


def test_an_entry_has_an_amount_and_an_adjustment_a_reason(purse):
    refused(an_entry, purse, 0, kind="refund")
    refused(an_entry, purse, 5, kind="adjustment")
    an_entry(purse, 5, kind="adjustment", reason="Sorry")
    assert audit.books().differences == []


# Usage, prices, top-ups


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt_tokens": -1},
        {"completion_tokens": -1},
        {"cached_tokens": -1},
        {"reasoning_tokens": -1},
        {"charged_micro_usd": -1},
        {"charged_micro_usd": 6},
        {"charged_micro_usd": 1},
        {"free": ""},
    ],
    ids=str,
)
def test_usage_is_charged_or_free_and_never_negative(price, wrong):
    paid = {"free": "", "price": price} if wrong != {"charged_micro_usd": 1} else {}
    if "free" in wrong:
        paid = {}
    refused(a_usage, **paid | wrong)
    a_usage(**paid)


@pytest.mark.parametrize(
    "rate",
    ["input", "output", "cached_input", "reasoning", "image", "audio", "per_request"],
)
def test_no_price_is_negative(transactional_db, rate):
    refused(a_price, **{f"{rate}_micro_usd": -1})
    a_price(**{f"{rate}_micro_usd": 0})


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_cents": 551},
        {"credit_cents": 0, "total_cents": 50},
        {"state": "paid"},
        {"paid_at": "2028-02-29T00:00:00Z"},
        {"refunded_cents": 5},
        {"disputed_cents": 5},
        {"state": "free"},
    ],
    ids=str,
)
def test_a_top_up_adds_up_and_has_money_once_it_is_paid(transactional_db, wrong):
    refused(a_top_up, **wrong)
    a_top_up()
