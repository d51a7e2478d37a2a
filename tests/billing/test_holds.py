"""Holds to the micro-dollar: required credit, charges of attempts, and notifications."""

import dataclasses
import uuid

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import audit, holds, ledger
from billing.errors import CreditHeld, OutOfCredit
from billing.models import Hold, LedgerEntry, Price, Purse, Usage
from billing.prices import versions as prices
from billing.prices.versions import Rates
from billing.token_usage import TokenUsage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
IN, OUT = 10, 20
# Micro-USD for a prompt of 100 tokens and the shortest answer that may be started.
LEAST = 100 * IN + holds.MIN_ANSWER_TOKENS * OUT


@pytest.fixture
def notified(monkeypatch):
    """The ids of the people who were notified."""
    people = []
    monkeypatch.setattr(ledger, "on_change", [people.append])
    return people


@pytest.fixture
def alice(notified, transactional_db):
    return User.objects.create_user("alice@example.org")


@pytest.fixture
def price():
    return a_price("m")


def a_price(model, **rates):
    given = {"input_micro_usd": IN * 10**6, "output_micro_usd": OUT * 10**6} | rates
    return Price.objects.create(
        model=model, version=1, valid_from=timezone.now(), source="staff", **given
    )


def given(person, amount):
    ledger.post(person.id, "adjustment", amount, key=str(uuid.uuid4()), reason="x")


def placed(person, price, prompt=100):
    """Place a hold for an answer. Returns its first attempt."""
    reply = uuid.uuid4()
    key = holds.answer_key(reply)
    holds.place(person, key, price, prompt, chat_id=None, reply_id=reply)
    return attempt_of(person, price, reply, 1)


def attempt_of(person, price, reply, number):
    key = holds.answer_key(reply)
    model = price.model
    return holds.Call(key, f"{key}:{number}", "answer", person.id, model, None, reply, number)


def next_of(call, number):
    key = f"{call.hold_key}:{number}"
    return holds.Call(
        call.hold_key, key, "answer", call.person_id, call.model, None, call.reply_id, number
    )


# Required credit


def test_the_required_credit_is_exact(alice, price):
    given(alice, LEAST - 1)
    with pytest.raises(OutOfCredit):
        placed(alice, price)
    given(alice, 1)
    call = placed(alice, price)
    assert ledger.balance(alice.id) == ledger.Balance(LEAST, LEAST, 0)
    assert holds.reserve(alice, call, price, 100, 4_000) == holds.Budget(200, limited=True)
    with pytest.raises(CreditHeld):
        placed(alice, price)


def test_placing_a_hold_again_before_settling_changes_nothing(alice, price):
    given(alice, 10**6)
    call = placed(alice, price)
    holds.reserve(alice, call, price, 100, 1_000)
    before = ledger.balance(alice.id)
    again = holds.place(alice, call.hold_key, price, 200, chat_id=None, reply_id=call.reply_id)
    assert ledger.balance(alice.id) == before
    assert [hold.id for hold in Hold.objects.all()] == [again.id]


def test_a_longer_prompt_than_held_for_is_refused(alice, price):
    given(alice, LEAST)
    call = placed(alice, price)
    with pytest.raises(OutOfCredit):
        holds.reserve(alice, call, price, 101, 4_000)
    assert Hold.objects.get().amount_micro_usd == LEAST


def test_people_in_debt_can_use_free_models(alice):
    given(alice, 5)
    ledger.post(alice.id, "refund", -10, key="r")
    free = a_price("free", input_micro_usd=0, output_micro_usd=0)
    call = placed(alice, free)
    assert Hold.objects.get().amount_micro_usd == 0
    # The operator bears any reported cost.
    holds.charge(call, TokenUsage(100, 5), last=True)
    assert ledger.balance(alice.id) == ledger.Balance(-5, 0, -5)
    assert audit.books().differences == []


@pytest.mark.parametrize(
    ("window", "prompt", "limit", "most"),
    [
        (8_192, 192, None, 8_000),
        (8_192, 8_100, None, 200),
        (8_192, 9_000, None, 200),
        (8_192, 192, 500, 500),
        (1_000_000, 0, None, 32_000),
        (1_000_000, 0, 64_000, 32_000),
    ],
)
def test_the_longest_answer_that_a_hold_covers(window, prompt, limit, most):
    assert holds.most_answer_tokens(window, prompt, limit) == most


# Attempts


def test_settling_an_earlier_attempt_late_takes_nothing_from_the_next(alice, price):
    given(alice, 10**6)
    first = placed(alice, price)
    holds.reserve(alice, first, price, 100, 1_000)
    second = next_of(first, 2)
    holds.reserve(alice, second, price, 100, 1_000)
    held = Hold.objects.get().amount_micro_usd
    holds.charge(first, TokenUsage(100, 50))
    assert Usage.objects.get().charged_micro_usd == 0
    assert Hold.objects.get().amount_micro_usd == held
    holds.charge(second, TokenUsage(100, 60), last=True)
    assert Usage.objects.get(attempt=2).charged_micro_usd == 100 * IN + 60 * OUT
    assert audit.books().differences == []


def test_credit_stays_held_between_attempts(alice, price):
    given(alice, 10**6)
    call = placed(alice, price)
    holds.reserve(alice, call, price, 100, 1_000)
    holds.charge(call, TokenUsage(100, 50))
    assert ledger.balance(alice.id).held_micro_usd == 950 * OUT
    holds.reserve(alice, next_of(call, 2), price, 150, 1_000)
    assert [hold.amount_micro_usd for hold in Hold.objects.all()] == [150 * IN + 1_000 * OUT]


def test_an_attempt_is_charged_at_the_price_of_its_beginning(alice, price):
    given(alice, 10**6)
    call = placed(alice, price)
    dearer = prices.set_by_staff(price.model, Rates(2 * IN * 10**6, 2 * OUT * 10**6), uuid.uuid4())
    holds.reserve(alice, call, dearer, 100, 1_000)
    holds.charge(call, TokenUsage(100, 50), last=True)
    usage = Usage.objects.get()
    assert (usage.price, usage.charged_micro_usd) == (dearer, 2 * (100 * IN + 50 * OUT))
    assert LedgerEntry.objects.get(kind="charge").price == dearer
    assert audit.books().differences == []


@pytest.mark.parametrize(
    ("free", "cost", "counted"), [("own_key", 700, 0), ("local", 700, 0), ("house", 700, 700)]
)
def test_a_free_call_is_counted_once(alice, price, free, cost, counted):
    reply = uuid.uuid4()
    call = dataclasses.replace(attempt_of(alice, price, reply, 1), free=free)
    for _ in range(3):
        holds.charge(call, TokenUsage(100, 50, cost_micro_usd=cost), last=True)
    usage = Usage.objects.get()
    assert (usage.free, usage.cost_micro_usd, usage.charged_micro_usd) == (free, counted, 0)
    assert usage.price is None
    assert audit.books().differences == []


def test_a_call_whose_hold_was_released_is_counted_but_not_charged(alice, price):
    given(alice, 10**6)
    call = placed(alice, price)
    holds.release(call.hold_key)
    for _ in range(2):
        holds.charge(call, TokenUsage(100, 50), last=True)
    usage = Usage.objects.get()
    assert (usage.cost_micro_usd, usage.charged_micro_usd, usage.price) == (2_000, 0, price)
    assert ledger.balance(alice.id) == ledger.Balance(10**6, 0, 10**6)
    assert audit.books().differences == []


def test_settling_again_charges_once(alice, price):
    given(alice, 10**6)
    call = placed(alice, price)
    holds.reserve(alice, call, price, 100, 1_000)
    for completion in (50, 50, 60):
        holds.charge(call, TokenUsage(100, completion))
    assert Usage.objects.get().charged_micro_usd == 2_000
    assert ledger.balance(alice.id).balance_micro_usd == 10**6 - 2_000


def test_usage_days_are_utc(alice, price, settings):
    settings.TIME_ZONE = "Pacific/Kiritimati"
    call = dataclasses.replace(attempt_of(alice, price, uuid.uuid4(), 1), free="house")
    with time_machine.travel("2028-02-29T23:30:00Z", tick=False):
        holds.charge(call, TokenUsage(1, 1))
    assert str(Usage.objects.get().day) == "2028-02-29"


def test_a_reported_cost_of_zero_counts(alice, price):
    given(alice, 10**6)
    call = placed(alice, price)
    holds.reserve(alice, call, price, 100, 1_000)
    assert holds.charged_so_far(call, TokenUsage(100, 50, cost_micro_usd=0)) == 0
    holds.charge(call, TokenUsage(100, 50, cost_micro_usd=0), last=True)
    usage = Usage.objects.get()
    assert (usage.cost_by_provider, usage.cost_micro_usd, usage.charged_micro_usd) == (True, 0, 0)
    assert not LedgerEntry.objects.filter(kind="charge").exists()
    assert ledger.balance(alice.id) == ledger.Balance(10**6, 0, 10**6)


def test_paid_so_far_counts_each_attempt_once(alice, price):
    given(alice, 10**6)
    first = placed(alice, price)
    assert (
        holds.charged_so_far(first, TokenUsage(1, 1)) is None
    )  # There is no hold for an attempt yet.
    holds.reserve(alice, first, price, 100, 1_000)
    holds.charge(first, TokenUsage(100, 50))
    second = next_of(first, 2)
    holds.reserve(alice, second, price, 100, 1_000)
    assert holds.charged_so_far(second, None) == 2_000
    assert holds.charged_so_far(second, TokenUsage(100, 10)) == 2_000 + 1_200


# Notifications


def test_listeners_are_called_for_every_change_of_credit(alice, notified, price):
    given(alice, 10**6)
    notified.clear()
    call = placed(alice, price)
    for change in (
        lambda: holds.reserve(alice, call, price, 100, 1_000),
        lambda: holds.charge(call, TokenUsage(100, 50)),
        lambda: holds.release(call.hold_key),
    ):
        notified.clear()
        change()
        assert notified == [alice.id]
    notified.clear()
    holds.release(call.hold_key)
    assert notified == []


def test_a_failing_listener_does_not_undo_the_booking(alice, monkeypatch, caplog):
    def fail(_person_id):
        raise ConnectionError

    monkeypatch.setattr(ledger, "on_change", [fail])
    given(alice, 5)
    assert ledger.balance(alice.id).balance_micro_usd == 5
    assert "ConnectionError" in caplog.text


# zero_since


def test_a_new_purse_is_at_zero_since_its_creation(alice):
    before = timezone.now()
    with transaction.atomic():
        ledger.lock_purse(alice.id)
    assert before <= Purse.objects.get().zero_since <= timezone.now()


def test_spending_below_a_cent_does_not_restart_the_thirty_days(alice):
    given(alice, 9_000)
    since = Purse.objects.get(person_id=alice.id).zero_since
    cheap = a_price("cheap", input_micro_usd=10**6, output_micro_usd=10**6)
    call = placed(alice, cheap)
    holds.reserve(alice, call, cheap, 100, 500)
    holds.charge(call, TokenUsage(100, 50), last=True)
    assert ledger.balance(alice.id).balance_micro_usd == 9_000 - 150
    assert Purse.objects.get(person_id=alice.id).zero_since == since
