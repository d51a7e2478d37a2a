"""Holds over several attempts: late workers, debts, and the promised guest budget."""

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
    """$10 per million input tokens, $20 per million output tokens."""
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


def test_paid_so_far_includes_settled_attempts(guest, price):
    """This holds even if the credit does not suffice for the next attempt."""
    call = attempt(guest)
    holds.reserve(guest, call, price, 10, 300)
    used = TokenUsage(10, 250)
    assert holds.charged_so_far(call, used) == 5_100
    holds.charge(call, used)
    assert holds.charged_so_far(call, used) == 5_100
    holds.charge(call, used, last=True)
    assert holds.charged_so_far(call, used) == 5_100
    # The answer is continued, and stopped before another attempt.
    placed(guest, price, call)
    assert holds.charged_so_far(call, used) == 5_100


def test_reserving_an_attempt_again_does_not_reduce_its_hold(guest, price):
    call = attempt(guest)
    budget = holds.reserve(guest, call, price, 1_000, 8_000)
    held = Hold.objects.get().amount_micro_usd
    # Meanwhile other answers hold most of the credit, and the price has risen.
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


def test_credit_held_for_other_answers_is_reported_as_held(guest, price):
    call = attempt(guest)
    placed(guest, price, call)
    for _ in range(3):
        holds.reserve(guest, attempt(guest), price, 10, 8_000)
    with pytest.raises(CreditHeld):
        holds.reserve(guest, call, price, 30_000, 1_000)
    with pytest.raises(OutOfCredit) as refusal:
        holds.reserve(guest, call, price, 60_000, 1_000)
    assert refusal.type is OutOfCredit


@pytest.mark.parametrize("gift", [6_000, 60_000])
def test_the_guest_budget_is_granted_while_an_answer_is_written(guest, price, gift):
    """Staff's credit covers placing the hold, but not the answer, or only a short one."""
    ledger.post(guest.id, "adjustment", gift, key="gift", reason="Sorry")
    call = attempt(guest)
    placed(guest, price, call)
    assert ledger.balance(guest.id).balance_micro_usd == gift
    budget = holds.reserve(guest, call, price, 5_000, 1_000)
    assert (budget.max_tokens, budget.limited) == (1_000, False)
    assert ledger.balance(guest.id).balance_micro_usd == gift + BUDGET


def test_free_models_work_for_guests_in_debt(guest):
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
