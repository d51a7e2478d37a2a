"""The guards of migration 0004: replacement, truncation, unknown kinds, credit granted once."""

import importlib
import uuid

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import User
from billing import holds, ledger
from billing.models import Hold, LedgerEntry, Price, SignUpClaim, TopUp, Usage
from billing.token_usage import TokenUsage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
guards = importlib.import_module("billing.migrations.0004_guards")


@pytest.fixture
def books(monkeypatch):
    """A row in each table. Returns the person's id."""
    monkeypatch.setattr(ledger, "on_change", [])
    person = User.objects.create(is_guest=True, password="!")
    rates = {"input_micro_usd": 10_000_000, "output_micro_usd": 20_000_000}
    price = Price.objects.create(
        model="m/a", version=1, valid_from=timezone.now(), source="staff", **rates
    )
    reply = uuid.uuid4()
    key = holds.answer_key(reply)
    call = holds.Call(key, f"{key}:1", "answer", person.id, price.model, None, reply, 1)
    holds.reserve(person, call, price, 10, 1_000)
    holds.charge(call, TokenUsage(10, 100))
    SignUpClaim.objects.create(address_hash="0" * 64)
    cents = {"credit_cents": 500, "fee_cents": 50, "total_cents": 550}
    TopUp.objects.create(person_id=person.id, expires_at=timezone.now(), **cents)
    return person.id


def refused(statement):
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def contents(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM billing_{table} ORDER BY 1")
        return cursor.fetchall()


@pytest.mark.parametrize("table", sorted(set(guards.SAME) - {"auditrun"}))
def test_tables_are_not_truncated_and_rows_not_replaced(books, table):
    before = contents(table)
    assert before
    if connection.vendor == "postgresql":
        refused(f"TRUNCATE billing_{table} CASCADE")
    else:
        refused(f"INSERT OR REPLACE INTO billing_{table} SELECT * FROM billing_{table}")
    assert contents(table) == before


def test_a_price_version_is_not_replaced(books):
    """SQLite's INSERT OR REPLACE fires no triggers for the rows it deletes."""
    with connection.cursor() as cursor:
        columns = "version, valid_from, source, output_micro_usd, per_request_micro_usd"
        insert = f"INTO billing_price (model, input_micro_usd, {columns})"
        cursor.execute(f"INSERT {insert} SELECT 'm/b', 7, {columns} FROM billing_price")
        again = f"{insert} SELECT 'm/b', 1, {columns} FROM billing_price WHERE model = 'm/a'"
    refused(f"INSERT OR REPLACE {again}" if connection.vendor == "sqlite" else f"INSERT {again}")
    assert Price.objects.get(model="m/b").input_micro_usd == 7


def test_an_entry_of_an_unknown_kind_is_refused(books):
    assert set(guards.KINDS) == set(LedgerEntry.Kind.values)
    before = ledger.balance(books).balance_micro_usd
    with pytest.raises(DatabaseError), transaction.atomic():
        LedgerEntry.objects.create(
            purse_id=books,
            number=3,
            kind="CHARGE",
            amount_micro_usd=5,
            balance_after_micro_usd=before + 5,
            key="made up",
        )
    assert ledger.balance(books).balance_micro_usd == before


@pytest.mark.parametrize("kind", ["guest_budget", "signup_credit"])
def test_once_only_credit_is_refused_under_another_key(kind):
    person = uuid.uuid4()
    ledger.post(person, kind, 5, key="one")
    with pytest.raises(DatabaseError):
        ledger.post(person, kind, 5, key="two")
    ledger.post(person, "free_credit", 5, key="three")
    ledger.post(person, "free_credit", 5, key="four")
    ledger.post(uuid.uuid4(), kind, 5, key="five")
    assert ledger.balance(person).balance_micro_usd == 15


def test_new_rows_are_accepted(books):
    assert Usage.objects.count() == Hold.objects.count() == 1
    holds.release(Hold.objects.get().key)
    person = User.objects.get(id=books)
    reply = Hold.objects.get().reply_id
    holds.place(person, holds.answer_key(reply), Price.objects.get(), 1, chat_id=None)
    assert Hold.objects.count() == 2
