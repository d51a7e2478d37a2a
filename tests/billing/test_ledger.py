"""The ledger: its entries, and the changes that the database refuses."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from billing import ledger
from billing.errors import KeyReused
from billing.models import Hold, LedgerEntry, Price, Purse

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
ALICE = uuid.UUID("0198c5a0-0000-7000-8000-00000000a11c")


@pytest.fixture
def price():
    from django.utils import timezone

    return Price.objects.create(
        model="openrouter/a",
        version=1,
        valid_from=timezone.now(),
        source="staff",
        input_micro_usd=1_000_000,
        output_micro_usd=2_000_000,
    )


@pytest.fixture
def purse():
    ledger.post(ALICE, "top_up", 1_000_000, key="t1")
    return Purse.objects.get(person_id=ALICE)


def hold_of(purse, price, amount, key="answer:1"):
    return Hold.objects.create(
        key=key, purse=purse, amount_micro_usd=amount, model=price.model, price=price
    )


def refused(statement, *parameters):
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def test_a_balance_is_the_sum_of_the_entries():
    ledger.post(ALICE, "top_up", 22_000_000, key="t1")
    ledger.post(ALICE, "fee", -2_000_000, key="t1:fee")
    ledger.post(ALICE, "dispute", -25_000_000, key="d1")
    assert ledger.balance(ALICE) == ledger.Balance(-5_000_000, 0, -5_000_000)
    entries = LedgerEntry.objects.order_by("number")
    assert [entry.balance_after_micro_usd for entry in entries] == [
        22_000_000,
        20_000_000,
        -5_000_000,
    ]


def test_the_same_key_is_booked_once():
    first = ledger.post(ALICE, "top_up", 5, key="k")
    assert ledger.post(ALICE, "top_up", 5, key="k") == first
    assert ledger.balance(ALICE).balance_micro_usd == 5
    for person, kind, amount in (
        (uuid.uuid4(), "top_up", 5),
        (ALICE, "free_credit", 5),
        (ALICE, "top_up", 6),
    ):
        with pytest.raises(KeyReused):
            ledger.post(person, kind, amount, key="k")
    assert ledger.balance(ALICE).balance_micro_usd == 5


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("top_up", 0), ("top_up", -1), ("fee", 1), ("dispute", 1), ("dispute_won", -1)],
)
def test_an_amount_has_the_sign_of_its_kind(kind, amount):
    with pytest.raises(DatabaseError):
        ledger.post(ALICE, kind, amount, key="k")


def test_charges_cannot_be_posted():
    with pytest.raises(ValueError, match="charge"):
        ledger.post(ALICE, "charge", -1, key="k")


def test_the_database_refuses_to_change_or_delete_entries(purse):
    refused("UPDATE billing_ledgerentry SET amount_micro_usd = 2")
    refused("UPDATE billing_ledgerentry SET reason = 'x'")
    refused("DELETE FROM billing_ledgerentry")
    refused("DELETE FROM billing_purse")


def test_the_database_refuses_a_balance_without_entries(purse):
    refused("UPDATE billing_purse SET balance_micro_usd = 2000000")
    refused("UPDATE billing_purse SET balance_micro_usd = 2000000, entries = 2")
    refused("UPDATE billing_purse SET held_micro_usd = 5")
    refused("UPDATE billing_purse SET held_micro_usd = -5")
    with pytest.raises(DatabaseError):
        Purse.objects.create(person_id=uuid.uuid4(), balance_micro_usd=1)


def test_the_database_refuses_an_entry_out_of_sequence(purse):
    fields = {"purse": purse, "kind": "top_up", "amount_micro_usd": 5, "key": "x"}
    for number, after in ((1, 1_000_005), (3, 1_000_005), (2, 1_000_006), (2, 5)):
        with pytest.raises(DatabaseError), transaction.atomic():
            LedgerEntry.objects.create(number=number, balance_after_micro_usd=after, **fields)
    LedgerEntry.objects.create(number=2, balance_after_micro_usd=1_000_005, **fields)
    assert ledger.balance(ALICE).balance_micro_usd == 1_000_005


def test_the_database_refuses_to_hold_more_than_the_balance(purse, price):
    hold = hold_of(purse, price, 600_000)
    with pytest.raises(DatabaseError), transaction.atomic():
        hold_of(purse, price, 400_001, "answer:2")
    hold_of(purse, price, 400_000, "answer:2")
    assert ledger.balance(ALICE).available_micro_usd == 0
    refused("UPDATE billing_hold SET amount_micro_usd = 600001 WHERE id = %s", hold.id)
    refused("DELETE FROM billing_hold")


def test_money_taken_back_may_leave_less_than_is_held(purse, price):
    hold = hold_of(purse, price, 600_000)
    ledger.post(ALICE, "refund", -900_000, key="r")
    assert ledger.balance(ALICE).available_micro_usd == -500_000
    Hold.objects.filter(id=hold.id).update(state="closed", amount_micro_usd=0)
    assert ledger.balance(ALICE) == ledger.Balance(100_000, 0, 100_000)


def test_only_one_hold_is_open_for_a_key(purse, price):
    first = hold_of(purse, price, 10)
    with pytest.raises(DatabaseError), transaction.atomic():
        hold_of(purse, price, 10)
    Hold.objects.filter(id=first.id).update(state="closed", amount_micro_usd=0)
    hold_of(purse, price, 10)
    refused("UPDATE billing_hold SET state = 'open' WHERE id = %s", first.id)


def test_a_charge_is_drawn_from_a_hold(purse, price):
    hold = hold_of(purse, price, 100)

    def entry(amount, **more):
        fields = {"purse": purse, "kind": "charge", "price": price, "hold": hold} | more
        with transaction.atomic():
            LedgerEntry.objects.create(
                number=2,
                amount_micro_usd=-amount,
                balance_after_micro_usd=1_000_000 - amount,
                key="c",
                **fields,
            )

    for amount, more in ((10, {}), (10, {"hold": None}), (10, {"price": None})):
        with pytest.raises(DatabaseError):
            entry(amount, **more)
    refused("UPDATE billing_hold SET charged_micro_usd = 10 WHERE id = %s", hold.id)
    refused(
        "UPDATE billing_hold SET charged_micro_usd = 101, amount_micro_usd = 0 WHERE id = %s",
        hold.id,
    )
    Hold.objects.filter(id=hold.id).update(charged_micro_usd=60, amount_micro_usd=40)
    with pytest.raises(DatabaseError):
        entry(61)
    entry(60)
    assert ledger.balance(ALICE) == ledger.Balance(999_940, 40, 999_900)


def test_listeners_are_called_after_the_commit(purse, monkeypatch):
    notified = []
    monkeypatch.setattr(ledger, "on_change", [notified.append])
    with transaction.atomic():
        ledger.post(ALICE, "top_up", 5, key="k")
        ledger.post(ALICE, "fee", -1, key="l")
        assert notified == []
    assert notified == [ALICE]


def test_zero_since_is_updated():
    ledger.post(ALICE, "top_up", 9_999, key="1")
    since = Purse.objects.get(person_id=ALICE).zero_since
    assert since is not None
    ledger.post(ALICE, "top_up", 1, key="2")
    assert Purse.objects.get(person_id=ALICE).zero_since is None
    entry = ledger.post(ALICE, "refund", -1, key="3")
    assert Purse.objects.get(person_id=ALICE).zero_since == entry.at
