"""Holds at their edges: workers that meet over one attempt, debts, what is promised."""

import uuid

import pytest
from django.utils import timezone

from accounts.models import User
from billing import holds, ledger
from billing.errors import CreditHeld, OutOfCredit
from billing.models import Hold, Price, Usage
from billing.prices import versions as prices
from billing.prices.versions import Rates
from billing.token_usage import TokenUsage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
BUDGET = 500_000


@pytest.fixture
def guest(monkeypatch):
    monkeypatch.setattr(ledger, "on_change", [])
    return User.objects.create(is_guest=True, password="!")


@pytest.fixture
def price():
    """$10 for a million tokens in, $20 for a million out."""
    return Price.objects.create(
        model="m/a",
        version=1,
        valid_from=timezone.now(),
        source="openrouter",
        input_micro_usd=10_000_000,
        output_micro_usd=20_000_000,
    )


def attempt(person, number=1, reply=None):
    reply = reply or uuid.uuid4()
    key = holds.answer_key(reply)
    return holds.Call(key, f"{key}:{number}", "answer", person.id, "m/a", None, reply, number)


def placed(person, price, call, prompt_tokens=10):
    return holds.place(
        person, call.hold_key, price, prompt_tokens, chat_id=None, reply_id=call.reply_id
    )


def test_what_was_charged_already_is_part_of_what_is_paid(guest, price):
    """Also when the last attempt was settled, and the next one cannot be paid for."""
    call = attempt(guest)
    holds.reserve(guest, call, price, 10, 300)
    used = TokenUsage(10, 250)
    assert holds.charged_so_far(call, used) == 5_100
    holds.charge(call, used)
    assert holds.charged_so_far(call, used) == 5_100
    holds.charge(call, used, last=True)
    assert holds.charged_so_far(call, used) == 5_100
    # It is continued, and stopped before another attempt.
    placed(guest, price, call)
    assert holds.charged_so_far(call, used) == 5_100


def test_a_frozen_worker_that_reserves_the_attempt_again_takes_nothing_from_it(guest, price):
    call = attempt(guest)
    budget = holds.reserve(guest, call, price, 1_000, 8_000)
    held = Hold.objects.get().amount_micro_usd
    # Meanwhile others hold most of what is left, and the model has become dearer.
    for _ in range(3):
        other = attempt(guest)
        holds.reserve(guest, other, price, 10, 5_000)
    dearer = prices.offer("m/a", Rates(20_000_000, 90_000_000), Price.Source.OPENROUTER)
    late = holds.reserve(guest, call, dearer, 10, 300)
    hold = Hold.objects.get(key=call.hold_key)
    assert (hold.amount_micro_usd, hold.price) == (held, price)
    assert late.max_tokens == 300
    holds.charge(call, TokenUsage(1_000, budget.max_tokens), last=True)
    assert Usage.objects.get().charged_micro_usd == held == 170_000


def test_who_waits_for_other_answers_is_not_told_that_nothing_is_left(guest, price):
    call = attempt(guest)
    placed(guest, price, call)
    for _ in range(3):
        holds.reserve(guest, attempt(guest), price, 10, 8_000)
    with pytest.raises(CreditHeld):
        holds.reserve(guest, call, price, 30_000, 1_000)
    with pytest.raises(OutOfCredit) as told:
        holds.reserve(guest, call, price, 60_000, 1_000)
    assert told.type is OutOfCredit


@pytest.mark.parametrize("gift", [6_000, 60_000])
def test_the_budget_that_is_promised_comes_also_while_an_answer_is_written(guest, price, gift):
    """What staff gave was enough for the order, and not for the answer, or only for a short one."""
    ledger.post(guest.id, "adjustment", gift, key="gift", reason="Sorry")
    call = attempt(guest)
    placed(guest, price, call)
    assert ledger.balance(guest.id).balance_micro_usd == gift
    budget = holds.reserve(guest, call, price, 5_000, 1_000)
    assert (budget.max_tokens, budget.limited) == (1_000, False)
    assert ledger.balance(guest.id).balance_micro_usd == gift + BUDGET


def test_a_model_that_costs_nothing_goes_on_working_for_who_owes_something(guest):
    free = prices.offer("m/free", Rates(0, 0), Price.Source.OPENROUTER)
    ledger.post(guest.id, "guest_budget", BUDGET, key=f"guest:{guest.id}")
    ledger.post(guest.id, "dispute", -2 * BUDGET, key="d")
    call = attempt(guest)
    placed(guest, free, call)
    budget = holds.reserve(guest, call, free, 1_000, 8_000)
    assert (budget.max_tokens, budget.limited) == (8_000, False)
    holds.charge(call, TokenUsage(1_000, 50), last=True)
    assert ledger.balance(guest.id) == ledger.Balance(-BUDGET, 0, -BUDGET)
    assert Usage.objects.get().charged_micro_usd == 0
