"""What many do at the same moment happens once, and at no moment is more held than there is."""

import uuid
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing import audit, grants, holds, ledger
from billing.models import Hold, LedgerEntry, Price, Usage
from billing.personal_data.handlers import _hand_over
from billing.prices import versions as prices
from billing.prices.versions import Rates
from billing.token_usage import TokenUsage
from chat.charging.pricing import price_of
from tests.billing import moments, test_concurrency
from tests.billing.test_concurrency import CENT, MODEL, THREADS, alice, at_once

__all__ = ["alice"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
def least(shared_database):
    """What was there in the worst moment of all: see tests/billing/moments.py."""
    with connection.cursor() as cursor:
        for statement in moments.MAKE[connection.vendor]:
            cursor.execute(statement)

        def read():
            cursor.execute(moments.LEAST)
            return cursor.fetchone()

        yield read
        for statement in moments.DROP if connection.vendor == "postgresql" else ():
            cursor.execute(statement)


def test_at_no_moment_of_two_hundred_sends_is_more_held_than_there_is(least, alice):
    test_concurrency.test_two_hundred_sends_at_once_never_hold_more_than_there_is(alice)
    moments.check(least(), at_least=Hold.objects.count())


def test_at_no_moment_of_two_hundred_calls_is_more_spent_than_there_is(least, alice):
    test_concurrency.test_two_hundred_calls_at_once_never_cost_more_than_there_is(alice)
    moments.check(least(), at_least=4 * LedgerEntry.objects.filter(kind="charge").count())


def test_the_same_end_from_many_threads_is_charged_once(alice):
    """The worker that ended it, the sweep, and a worker that came back late."""
    price, reply = price_of(MODEL), uuid.uuid4()
    key = holds.answer_key(reply)
    call = holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1)
    holds.place(alice, key, price, 20, chat_id=None, reply_id=reply)
    holds.reserve(alice, call, price, 20, 200)

    def end(number):
        return (
            holds.charge(call, TokenUsage(20, 10), last=True) if number % 2 else holds.release(key)
        )

    # Whichever comes first: let go unpaid, or paid.
    results = at_once(end, 40)
    assert set(results.values()) == {None}
    [usage] = Usage.objects.all()
    assert usage.charged_micro_usd in (0, 400)
    spent = usage.charged_micro_usd
    assert ledger.balance(alice.id) == ledger.Balance(CENT - spent, 0, CENT - spent)
    assert audit.books().differences == []


@pytest.mark.parametrize("free", ["", "house"])
def test_a_call_that_nothing_is_held_for_is_counted_once(alice, free):
    """A free one, and one whose hold was given back before."""
    reply, _ = uuid.uuid4(), price_of(MODEL)
    key = holds.answer_key(reply)
    call = holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1, free)
    results = at_once(lambda _: holds.charge(call, TokenUsage(20, 10), last=True), 40)
    assert set(results.values()) == {None}
    assert [usage.charged_micro_usd for usage in Usage.objects.all()] == [0]


def test_an_attempt_from_many_threads_is_held_once(alice):
    price, reply = price_of(MODEL), uuid.uuid4()
    key = holds.answer_key(reply)
    call = holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1)
    results = at_once(lambda _: holds.reserve(alice, call, price, 20, 210).max_tokens, 40)
    assert set(results.values()) == {210}
    assert ledger.balance(alice.id).held_micro_usd == 20 * 10 + 210 * 20
    assert Hold.objects.count() == 1


def test_the_sign_up_credit_comes_once_however_many_sign_in_at_once(shared_database, monkeypatch):
    """The same person in many windows, and many accounts of one mailbox."""
    monkeypatch.setattr(ledger, "on_change", [])
    people = [User.objects.create_user(f"alice+{n}@example.org") for n in range(THREADS)]
    for person in people:
        EmailAddress.objects.create(user=person, email=person.email, verified=True)
    results = at_once(lambda n: grants.on_signed_in(user=people[n % THREADS]), 40)
    assert set(results.values()) == {None}
    assert list(LedgerEntry.objects.values_list("kind", flat=True)) == ["signup_credit"]


def test_the_free_credit_comes_once_from_however_many_workers(alice, monkeypatch):
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True)
    ledger.post(alice.id, "refund", -CENT, key="r")
    then = timezone.now() + timedelta(days=31)
    results = at_once(lambda _: grants.give_free_credit(then), THREADS)
    assert sum(results.values()) == 1
    assert ledger.balance(alice.id).balance_micro_usd == 500_000


def test_guests_who_join_each_way_at_once_wait_for_each_other(shared_database, monkeypatch):
    """Two purses are locked in one order: nobody waits for ever, and no micro-dollar is lost."""
    monkeypatch.setattr(ledger, "on_change", [])
    one, other = (User.objects.create_user(f"{n}@example.org").id for n in range(2))
    for person_id in (one, other):
        ledger.post(person_id, "top_up", CENT, key=f"t:{person_id}")
    pairs = [(one, other), (other, one)]
    results = at_once(lambda n: _hand_over(*pairs[n % 2], f"part{n}"), 40)
    assert set(results.values()) == {None}
    left = [ledger.balance(person_id).balance_micro_usd for person_id in (one, other)]
    assert sum(left) == 2 * CENT
    assert audit.books().differences == []


def test_new_prices_from_many_threads_are_one_version_each(alice):
    before, models = Price.objects.count(), 20

    def offer(number):
        return prices.offer(f"openrouter/{number // THREADS}", Rates(1, 2), "openrouter").id

    results = at_once(offer, models * THREADS)
    assert len(set(results.values())) == models
    assert Price.objects.count() == before + models
