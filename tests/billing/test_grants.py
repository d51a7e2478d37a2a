"""Grants: eligibility, frequency and times, in any month."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
import time_machine
from allauth.account.models import EmailAddress
from asgiref.sync import async_to_sync

from accounts.models import GuestJoin, User
from billing import grants, holds, ledger, usage
from billing.errors import OutOfCredit
from billing.models import Hold, LedgerEntry, Purse, SignUpClaim, Usage
from billing.pages.statements import standing
from billing.personal_data import export as exports
from billing.personal_data.handlers import personal_data
from billing.token_usage import TokenUsage
from tests.billing.grant_setup import account, at_zero, balance, guest, needs_credit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
UTC = dt.UTC


@pytest.fixture(autouse=True)
def no_notifications(monkeypatch):
    monkeypatch.setattr(ledger, "on_change", [])


# Sign-up


def test_an_account_has_its_credit_once():
    alice = account("alice@example.org")
    for _ in range(3):
        grants.on_signed_in(user=alice)
    assert balance(alice) == 2_000_000


def test_an_unverified_address_gets_no_credit():
    alice = User.objects.create_user("alice@example.org")
    EmailAddress.objects.create(user=alice, email=alice.email, verified=False)
    grants.on_signed_in(user=alice)
    assert balance(alice) == 0
    assert not SignUpClaim.objects.exists()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("alice@example.org", "alice@example.org"),
        ("alice@example.org", "Alice@Example.ORG"),
        ("alice@example.org", "alice+more@example.org"),
        ("al.ice@gmail.com", "a.l.i.c.e+x@googlemail.com"),
        ("ＡLICE@example.org", "alice@example.org"),
    ],
)
def test_returning_after_deletion_gets_no_second_credit(first, again):
    alice = account(first)
    alice_id = alice.id
    grants.on_signed_in(user=alice)
    async_to_sync(personal_data.erase)(alice)
    alice.delete()
    back = account(again)
    grants.on_signed_in(user=back)
    assert balance(back) == 0
    # The leaver's ledger is unchanged.
    assert ledger.balance(alice_id).balance_micro_usd == 2_000_000


def test_no_address_of_a_deleted_account_gets_credit_again():
    alice = account("alice@example.org")
    grants.on_signed_in(user=alice)
    EmailAddress.objects.create(user=alice, email="other@example.org", verified=True)
    async_to_sync(personal_data.erase)(alice)
    alice.delete()
    back = account("other@example.org")
    grants.on_signed_in(user=back)
    assert balance(back) == 0


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("A+b@Example.org", "a@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("a.b+c@googlemail.com", "ab@gmail.com"),
        ("ａnn@example.org", "ann@example.org"),
    ],
)
def test_aliases_of_a_mailbox_are_normalised(address, same):
    assert grants.normalised(address) == grants.normalised(same)


def test_dots_are_ignored_for_gmail_only():
    for email in ("a.b@example.org", "ab@example.org"):
        person = account(email)
        grants.on_signed_in(user=person)
        assert balance(person) == 2_000_000


def test_only_hashes_of_addresses_are_stored():
    grants.on_signed_in(user=account("alice@example.org"))
    [claim] = SignUpClaim.objects.all()
    assert "alice" not in claim.address_hash
    assert len(claim.address_hash) == 64


def test_an_error_does_not_prevent_the_sign_in(monkeypatch):
    def fails(*_):
        raise RuntimeError

    alice = account("alice@example.org")
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", fails)
        grants.on_signed_in(user=alice)
    assert balance(alice) == 0
    grants.on_signed_in(user=alice)
    assert balance(alice) == 2_000_000


def test_a_sign_in_grants_the_credit(client, redis_url):
    alice = account("alice@example.org")
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    assert balance(alice) == 2_000_000


# Guests


def test_a_guest_gets_the_budget_once_when_needed(price):
    person = guest()
    assert standing(person).balance_micro_usd == 500_000
    assert not LedgerEntry.objects.exists()
    for _ in range(3):
        holds.release(needs_credit(person, price)[0])
    assert balance(person) == standing(person).balance_micro_usd == 500_000


def test_a_guest_who_becomes_an_account_keeps_the_ledger(price):
    person = guest()
    holds.release(needs_credit(person, price)[0])
    User.objects.filter(id=person.id).update(is_guest=False, email="a@example.org")
    EmailAddress.objects.create(user_id=person.id, email="a@example.org", verified=True)
    person = User.objects.get(id=person.id)
    grants.on_signed_in(user=person)
    assert balance(person) == 2_500_000
    kinds = usage.entries_of(person.id).values_list("kind", flat=True)
    assert list(kinds) == ["signup_credit", "guest_budget"]


def test_joining_transfers_history_and_paid_credit_but_no_budget(price):
    alice, person = account("alice@example.org"), guest()
    key, reply = needs_credit(person, price)
    ledger.post(person.id, "top_up", 1_000_000, key="t")
    call = holds.Call(key, f"{key}:1", "answer", person.id, price.model, None, reply, 1)
    holds.reserve(person, call, price, 10, 1_000)
    GuestJoin.objects.create(guest_id=person.id, account=alice)
    async_to_sync(personal_data.hand_over)(person, alice, False)
    assert balance(alice) == 1_000_000
    holds.charge(call, TokenUsage(10, 100), last=True)
    for last in (False, True, True):
        async_to_sync(personal_data.hand_over)(person, alice, last)
    assert balance(alice) == 1_000_000
    assert balance(person) == 500_000 - 2_100
    assert [
        total.charged_micro_usd for total in usage.totals_of(usage.of_person(alice.id), "model")
    ] == [2_100]
    text = "".join(exports.payments_csv(alice.id))
    assert "guest_budget,0.500000" in text
    assert "charge,-0.002100" in text
    assert "openrouter/a" in "".join(exports.usage_csv(alice.id))


def test_spending_uses_granted_credit_before_paid_credit(price):
    """Granted credit is spent first; spending more reduces the paid credit."""
    alice, person = account("alice@example.org"), guest()
    key, reply = needs_credit(person, price)
    ledger.post(person.id, "top_up", 1_000_000, key="t")
    call = holds.Call(key, f"{key}:1", "answer", person.id, price.model, None, reply, 1)
    holds.reserve(person, call, price, 10, 40_000)
    holds.charge(call, TokenUsage(10, 1, cost_micro_usd=700_000), last=True)
    async_to_sync(personal_data.hand_over)(person, alice, True)
    assert (balance(person), balance(alice)) == (0, 800_000)


@pytest.mark.parametrize(
    ("answer_tokens", "held"), [(8_192, 163_940), (20_000, 250_000), (9_000, 180_100)]
)
def test_only_very_long_answers_are_limited_to_half_the_credit(price, answer_tokens, held):
    person = guest()
    key, reply = needs_credit(person, price)
    call = holds.Call(key, f"{key}:1", "answer", person.id, price.model, None, reply, 1)
    budget = holds.reserve(person, call, price, 10, answer_tokens)
    assert ledger.balance(person.id).held_micro_usd == held
    assert budget.limited == (answer_tokens == 20_000)


def test_an_answer_continued_in_an_account_is_charged_to_it(price):
    alice, person = account("alice@example.org"), guest()
    grants.on_signed_in(user=alice)
    key, reply = needs_credit(person, price)
    call = holds.Call(key, f"{key}:1", "answer", alice.id, price.model, None, reply, 1)
    holds.reserve(alice, call, price, 10, 1_000)
    assert ledger.balance(person.id) == ledger.Balance(500_000, 0, 500_000)
    holds.charge(call, TokenUsage(10, 100), last=True)
    assert balance(alice) == 2_000_000 - 2_100
    assert not Hold.objects.filter(state="open").exists()


def test_erasing_releases_holds_and_keeps_the_ledger(price):
    person = guest()
    key, reply = needs_credit(person, price)
    async_to_sync(personal_data.erase)(person)
    person_id = person.id
    person.delete()
    assert ledger.balance(person_id) == ledger.Balance(500_000, 0, 500_000)
    # A worker that settles now finds no open hold.
    call = holds.Call(key, f"{key}:1", "answer", person_id, price.model, None, reply, 1)
    holds.charge(call, TokenUsage(10, 100), last=True)
    assert Usage.objects.get().charged_micro_usd == 0
    assert ledger.balance(person_id).balance_micro_usd == 500_000


# Free credit


@pytest.mark.parametrize(
    "zero",
    [
        dt.datetime(2026, 1, 15, 12, tzinfo=UTC),
        dt.datetime(2028, 2, 28, 23, 59, 59, tzinfo=UTC),
        dt.datetime(2028, 2, 29, 0, 0, tzinfo=UTC),
        dt.datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2026, 10, 24, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2026, 12, 15, tzinfo=ZoneInfo("Pacific/Kiritimati")),
    ],
)
def test_the_free_credit_comes_after_thirty_days_at_zero(zero):
    with time_machine.travel(zero, tick=False) as clock:
        alice = at_zero()
        due = grants.free_credit_due_at(Purse.objects.get(person_id=alice.id))
        assert due == zero.astimezone(UTC) + dt.timedelta(days=30)
        clock.move_to(due - dt.timedelta(microseconds=1))
        assert grants.give_free_credit() == 0
        clock.move_to(due)
        assert [grants.give_free_credit() for _ in range(3)] == [1, 0, 0]
        assert balance(alice) == 500_005
        assert grants.free_credit_due_at(Purse.objects.get(person_id=alice.id)) is None
        clock.shift(dt.timedelta(days=400))
        assert grants.give_free_credit() == 0


def test_the_free_credit_comes_once_for_each_zero(price):
    with time_machine.travel(dt.datetime(2026, 1, 1, tzinfo=UTC), tick=False) as clock:
        alice = at_zero()
        for number in range(1, 4):
            clock.shift(dt.timedelta(days=30))
            assert grants.give_free_credit() == 1
            ledger.post(alice.id, "refund", -balance(alice), key=f"r{number}")
            clock.shift(dt.timedelta(days=29))
            assert grants.give_free_credit() == 0
            clock.shift(dt.timedelta(days=1) - dt.timedelta(days=30))
        assert LedgerEntry.objects.filter(kind="free_credit").count() == 3


def test_a_top_up_restarts_the_thirty_days():
    with time_machine.travel(dt.datetime(2026, 1, 1, tzinfo=UTC), tick=False) as clock:
        alice = at_zero()
        clock.shift(dt.timedelta(days=20))
        ledger.post(alice.id, "top_up", 1_000_000, key="more")
        ledger.post(alice.id, "refund", -1_000_000, key="less")
        clock.shift(dt.timedelta(days=29))
        assert grants.give_free_credit() == 0
        clock.shift(dt.timedelta(days=1))
        assert grants.give_free_credit() == 1


def test_no_free_credit_for_guests_leavers_or_debtors(price):
    with time_machine.travel(dt.datetime(2026, 1, 1, tzinfo=UTC), tick=False) as clock:
        ledger.post(guest().id, "top_up", 5, key="guest")
        suspended, gone, owes = at_zero("s@a.org"), at_zero("g@a.org"), at_zero("o@a.org")
        User.objects.filter(id=suspended.id).update(is_active=False)
        gone.delete()
        ledger.post(owes.id, "dispute", -20_000_000, key="d")
        assert grants.free_credit_due_at(Purse.objects.get(person_id=owes.id)) is None
        clock.shift(dt.timedelta(days=60))
        assert grants.give_free_credit() == 0


def test_zero_amounts_grant_nothing(settings, price):
    settings.CREDIT_SIGN_UP_MICRO_USD = settings.CREDIT_GUEST_MICRO_USD = 0
    settings.CREDIT_FREE_MICRO_USD = 0
    grants.on_signed_in(user=account("alice@example.org"))
    with pytest.raises(OutOfCredit):
        needs_credit(guest(), price)
    assert not LedgerEntry.objects.exists()
    assert grants.give_free_credit(dt.datetime(2099, 1, 1, tzinfo=UTC)) == 0


def test_a_tiny_free_credit_is_given_once_and_blocks_nobody(settings):
    settings.CREDIT_FREE_MICRO_USD = 500
    first = dt.datetime(2026, 1, 1, tzinfo=UTC)
    with time_machine.travel(first, tick=False) as clock:
        alice = at_zero()
        clock.move_to(first + dt.timedelta(days=31))
        assert [grants.give_free_credit() for _ in range(2)] == [1, 0]
        settings.CREDIT_FREE_MICRO_USD = 700
        bob = at_zero("bob@example.org")
        clock.move_to(first + dt.timedelta(days=62))
        assert grants.give_free_credit() == 1
    assert (balance(alice), balance(bob)) == (505, 705)


def test_people_still_at_zero_after_the_credit_block_nobody(settings, monkeypatch):
    monkeypatch.setattr(grants, "FREE_BATCH", 1)
    settings.CREDIT_FREE_MICRO_USD = 500
    first = dt.datetime(2026, 1, 1, tzinfo=UTC)
    with time_machine.travel(first, tick=False) as clock:
        alice, bob = at_zero(), at_zero("bob@example.org")
        clock.move_to(first + dt.timedelta(days=31))
        assert [grants.give_free_credit() for _ in range(3)] == [1, 1, 0]
    assert (balance(alice), balance(bob)) == (505, 505)
