"""Grants in combination with used addresses, debts, holds and joining guests."""

import datetime as dt

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import chores, grants, holds, ledger
from billing.models import AuditRun, Hold, LedgerEntry, Price, Purse, SignUpClaim
from billing.pages.statements import standing
from billing.personal_data.handlers import personal_data
from tests.billing.conftest import price
from tests.billing.grant_setup import account, at_zero, balance, guest, needs_credit
from tests.billing.tampering import tamper

__all__ = ["price"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
MONTH = dt.timedelta(days=31)


@pytest.fixture(autouse=True)
def no_notifications(monkeypatch):
    monkeypatch.setattr(ledger, "on_change", [])


def test_a_new_address_beside_a_used_one_gets_no_credit():
    first = account("alice@example.org")
    grants.on_signed_in(user=first)
    async_to_sync(personal_data.erase)(first)
    first.delete()
    back = account("fresh@example.org", "alice@example.org")
    grants.on_signed_in(user=back)
    assert balance(back) == 0
    # The new address alone gets none later, either.
    async_to_sync(personal_data.erase)(back)
    back.delete()
    again = account("fresh@example.org")
    grants.on_signed_in(user=again)
    assert balance(again) == 0


def test_an_address_may_begin_with_a_plus():
    for email in ("+a@example.org", "+b@example.org"):
        person = account(email)
        grants.on_signed_in(user=person)
        assert balance(person) == 2_000_000


def test_signing_up_without_a_grant_uses_up_the_claim(settings, caplog):
    settings.CREDIT_SIGN_UP_MICRO_USD = 0
    alice = account("alice@example.org")
    grants.on_signed_in(user=alice)
    settings.CREDIT_SIGN_UP_MICRO_USD = 2_000_000
    grants.on_signed_in(user=alice)
    assert balance(alice) == 0
    assert SignUpClaim.objects.count() == 1
    assert "could not be given" not in caplog.text


def test_erasing_twice_is_idempotent():
    alice = account("alice@example.org")
    for _ in range(2):
        async_to_sync(personal_data.erase)(alice)
    assert SignUpClaim.objects.count() == 1


def test_address_hashes_depend_on_the_secret_key(settings):
    alice = account("alice@example.org")
    [first] = grants._hashes(alice)
    settings.SECRET_KEY = "another"
    assert grants._hashes(alice) != [first]


def test_a_changed_guest_budget_is_not_granted_again(settings, price):
    person = guest()
    holds.release(needs_credit(person, price)[0])
    settings.CREDIT_GUEST_MICRO_USD = 700_000
    holds.release(needs_credit(person, price)[0])
    with transaction.atomic():
        grants.give_initial_credit(ledger.lock_purse(person.id), person)
    assert balance(person) == standing(person).balance_micro_usd == 500_000


# Changes between listing the people who are due and granting


def due(email="alice@example.org"):
    """(a person whose balance was zero for a month, the latest time at which it must have been)."""
    with time_machine.travel(timezone.now() - MONTH, tick=False):
        person = at_zero(email)
    return person, timezone.now() - dt.timedelta(days=30)


def test_a_last_moment_top_up_prevents_free_credit():
    alice, since = due()
    ledger.post(alice.id, "top_up", 1_000_000, key="t2")
    assert grants._give_free(alice.id, since) == 0


def test_returning_to_zero_restarts_the_wait():
    alice, since = due()
    ledger.post(alice.id, "top_up", 1_000_000, key="t2")
    ledger.post(alice.id, "refund", -1_000_000, key="r2")
    assert grants._give_free(alice.id, since) == 0


def test_a_last_moment_debt_prevents_free_credit():
    alice, since = due()
    ledger.post(alice.id, "dispute", -20_000_000, key="d2")
    assert grants._give_free(alice.id, since) == 0
    assert grants.give_free_credit() == 0


def test_held_credit_delays_free_credit():
    alice, since = due()
    cheap = Price.objects.create(
        model="cheap",
        version=1,
        valid_from=timezone.now(),
        source="staff",
        input_micro_usd=0,
        output_micro_usd=25_000,
    )
    key, _ = needs_credit(alice, cheap)
    assert Hold.objects.get(key=key).amount_micro_usd == 5
    assert grants.give_free_credit() == grants._give_free(alice.id, since) == 0
    holds.release(key)
    assert grants.give_free_credit() == 1


def test_people_in_debt_do_not_block_others(monkeypatch):
    monkeypatch.setattr(grants, "FREE_BATCH", 1)
    debtor, _ = due("debtor@example.org")
    ledger.post(debtor.id, "dispute", -20_000_000, key="d2")
    # Both are at zero; the debtor a little longer.
    Purse.objects.filter(person_id=debtor.id).update(zero_since=timezone.now() - 2 * MONTH)
    alice, _ = due()
    assert grants.give_free_credit() == 1
    assert balance(alice) == 500_005


def test_no_due_date_is_shown_without_free_credit(settings):
    alice, _ = due()
    assert grants.free_credit_due_at(Purse.objects.get(person_id=alice.id)) is not None
    settings.CREDIT_FREE_MICRO_USD = 0
    assert grants.free_credit_due_at(Purse.objects.get(person_id=alice.id)) is None


def test_a_worker_gives_the_free_credit(redis_url):
    alice, _ = due()
    free_credit = next(chore for chore in chores.chores() if chore.name == "free-credit")
    async_to_sync(free_credit.run)()
    assert balance(alice) == 500_005
    async_to_sync(free_credit.run)()
    assert LedgerEntry.objects.filter(kind="free_credit").count() == 1


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Pacific/Apia"])
@pytest.mark.parametrize(
    "zero", ["2026-02-20T00:30:00+00:00", "2026-10-10T23:30:00+00:00", "2028-01-31T12:00:00+00:00"]
)
def test_the_wait_is_thirty_days_in_any_time_zone(settings, zone, zero):
    """With a change of the clock, or a leap day, between reaching zero and the credit."""
    settings.TIME_ZONE = zone
    begun = dt.datetime.fromisoformat(zero)
    with time_machine.travel(begun, tick=False) as clock:
        alice = at_zero()
        clock.shift(dt.timedelta(days=30) - dt.timedelta(seconds=1))
        assert grants.give_free_credit() == 0
        clock.shift(1)
        assert grants.give_free_credit() == 1
    [entry] = LedgerEntry.objects.filter(kind="free_credit")
    assert entry.at == begun + dt.timedelta(days=30)
    assert User.objects.filter(id=alice.id).exists()


# Joining guests, and removal of idle people


def holding(person, price, tokens):
    """An answer in progress that may use this many tokens."""
    key, reply = needs_credit(person, price)
    call = holds.Call(key, f"{key}:1", "answer", person.id, price.model, None, reply, 1)
    holds.reserve(person, call, price, 10, tokens)
    return ledger.balance(person.id).held_micro_usd


def test_held_credit_is_not_transferred_to_the_account(price):
    alice, person = account("alice@example.org"), guest()
    ledger.post(person.id, "top_up", 1_000_000, key="t")
    held = holding(person, price, 35_000)
    async_to_sync(personal_data.hand_over)(person, alice, False)
    assert balance(alice) == 1_000_000 - held > 0
    assert ledger.balance(person.id) == ledger.Balance(held, held, 0)


def test_a_guests_debt_is_not_transferred(price):
    alice, person = account("alice@example.org"), guest()
    holds.release(needs_credit(person, price)[0])
    ledger.post(person.id, "adjustment", -200_000, key="a", reason="Taken back")
    for last in (False, True):
        async_to_sync(personal_data.hand_over)(person, alice, last)
    assert (balance(person), balance(alice)) == (300_000, 0)


def test_payers_and_people_with_open_holds_are_not_removed_as_idle(price):
    payer, waits, idle = guest(), guest(), guest()
    ledger.post(payer.id, "top_up", 5, key="t")
    needs_credit(waits, price)
    holds.release(needs_credit(idle, price)[0])
    kept = set(personal_data.in_use(timezone.now()).values_list("person_id", flat=True))
    assert kept == {payer.id, waits.id}


# The nightly audit


def test_a_worker_logs_differences_and_audits_daily(redis_url, caplog):
    alice = at_zero()
    tamper("UPDATE billing_purse SET balance_micro_usd = balance_micro_usd + 1", "purse")

    audit = next(chore for chore in chores.chores() if chore.name == "audit")

    def run_after(hours):
        with time_machine.travel(timezone.now() + dt.timedelta(hours=hours), tick=True):
            async_to_sync(audit.run)()
        return AuditRun.objects.count()

    assert [run_after(hours) for hours in (0, 23, 25, 26)] == [1, 1, 2, 2]
    records = [record for record in caplog.records if "do not balance" in record.getMessage()]
    assert [record.levelname for record in records] == ["ERROR"] * 2
    assert f"purse {alice.id}: shows 6, its entries add up to 5" in records[0].getMessage()
