"""Any order and repetition of what can happen to money: the books add up after every step."""

import itertools
import uuid

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.models import User
from billing import audit, holds, ledger
from billing.errors import KeyReused, OutOfCredit
from billing.models import Hold, LedgerEntry, Price, Usage
from billing.token_usage import TokenUsage
from tests.examples import examples

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
amounts = st.integers(1, 3_000_000)
tokens = st.integers(0, 60_000)
GIVES = ("top_up", "free_credit", "dispute_won", "adjustment")
TAKES = ("refund", "dispute", "adjustment")
GUEST = 500_000


class Books(RuleBasedStateMachine):
    """The model: a balance and what is held, beside the real ones."""

    calls = Bundle("calls")

    def __init__(self):
        super().__init__()
        self.person = User.objects.create(is_guest=True, password="!")
        self.price = Price.objects.create(
            model=f"m/{self.person.id}",
            version=1,
            valid_from=timezone.now(),
            source="staff",
            input_micro_usd=3_000_000,
            output_micro_usd=15_000_000,
            cached_input_micro_usd=300_000,
        )
        self.numbers = itertools.count()
        self.balance = 0
        self.posted = {}
        self.settled = set()

    @rule(kind=st.sampled_from(GIVES), amount=amounts)
    def give(self, kind, amount):
        self.post(kind, amount)

    @rule(kind=st.sampled_from(TAKES), amount=amounts)
    def take_back(self, kind, amount):
        self.post(kind, -amount)

    @rule(amount=amounts)
    def top_up_with_its_fee(self, amount):
        self.post("top_up", amount * 11)
        self.post("fee", -amount)

    def post(self, kind, amount):
        key = f"{self.person.id}:{next(self.numbers)}"
        self.posted[key] = kind, amount
        ledger.post(self.person.id, kind, amount, key=key, reason="because")
        self.balance += amount

    @rule(which=st.integers(0, 100))
    def post_again(self, which):
        if self.posted:
            key = list(self.posted)[which % len(self.posted)]
            kind, amount = self.posted[key]
            ledger.post(self.person.id, kind, amount, key=key, reason="because")

    @rule(which=st.integers(0, 100))
    def post_something_else_under_the_same_key(self, which):
        if self.posted:
            key = list(self.posted)[which % len(self.posted)]
            kind, amount = self.posted[key]
            with pytest.raises(KeyReused):
                ledger.post(self.person.id, kind, amount + 7, key=key, reason="because")

    @rule(target=calls, prompt=tokens)
    def place(self, prompt):
        reply = uuid.uuid4()
        before = self.available()
        had = self.budget()
        try:
            key = holds.answer_key(reply)
            holds.place(self.person, key, self.price, prompt, chat_id=None, reply_id=reply)
        except OutOfCredit:
            assert before < 3 * prompt + 15 * 200
            assert had or before + GUEST < 3 * prompt + 15 * 200
        self.balance += self.budget() - had
        return reply

    @rule(reply=calls, prompt=tokens, answer=tokens, attempt=st.integers(1, 3))
    def reserve(self, reply, prompt, answer, attempt):
        if self.call(reply, attempt).key in self.settled:
            return  # The worker settles an attempt before it reserves for the next one.
        had, before = self.budget(), self.open_hold(reply)
        try:
            budget = holds.reserve(
                self.person, self.call(reply, attempt), self.price, prompt, answer
            )
        except OutOfCredit:
            return
        finally:
            self.balance += self.budget() - had
        hold = self.open_hold(reply)
        if before and before.attempt > attempt:
            # A worker that came too late.
            assert (hold.attempt, hold.amount_micro_usd) == (
                before.attempt,
                before.amount_micro_usd,
            )
            return
        assert budget.max_tokens <= answer
        assert 3 * prompt + 15 * budget.max_tokens <= hold.amount_micro_usd + 1
        assert budget.limited == (budget.max_tokens < answer) or budget.limited

    @rule(
        reply=calls,
        attempt=st.integers(1, 3),
        used=st.tuples(tokens, tokens, tokens, st.none() | st.integers(0, 10**9)),
        gave=st.booleans(),
        last=st.booleans(),
    )
    def settle(self, reply, attempt, used, gave, last):
        call = self.call(reply, attempt)
        prompt, answer, cached, cost = used
        held = self.held_for(reply)
        holds.charge(call, TokenUsage(prompt, answer, cached, 0, cost) if gave else None, last=last)
        charged = sum(
            -amount
            for amount in LedgerEntry.objects.filter(key=call.key).values_list(
                "amount_micro_usd", flat=True
            )
        )
        if call.key not in self.settled and gave:
            self.settled.add(call.key)
            assert charged <= held
            self.balance -= charged
        if last:
            assert self.held_for(reply) == 0

    @rule(reply=calls)
    def release(self, reply):
        holds.release(holds.answer_key(reply))
        assert self.held_for(reply) == 0

    @invariant()
    def the_books_add_up(self):
        found = ledger.balance(self.person.id)
        assert found.balance_micro_usd == self.balance
        assert audit.books().differences == []

    def teardown(self):
        for hold in Hold.objects.filter(purse_id=self.person.id, state="open"):
            holds.release(hold.key)
        assert ledger.balance(self.person.id).held_micro_usd == 0
        charged = Usage.objects.filter(person_id=self.person.id).values_list("charged_micro_usd")
        posted = sum(amount for _, amount in self.posted.values())
        assert self.balance == posted + self.budget() - sum(amount for (amount,) in charged)
        assert self.budget() in (0, GUEST)

    def call(self, reply, attempt):
        key = holds.answer_key(reply)
        return holds.Call(
            key,
            f"{key}:{attempt}",
            "answer",
            self.person.id,
            self.price.model,
            None,
            reply,
            attempt,
        )

    def budget(self):
        """Given once, when first needed."""
        found = LedgerEntry.objects.filter(purse_id=self.person.id, kind="guest_budget")
        return sum(found.values_list("amount_micro_usd", flat=True))

    def held_for(self, reply):
        hold = self.open_hold(reply)
        return hold.amount_micro_usd if hold else 0

    def open_hold(self, reply):
        return Hold.objects.filter(key=holds.answer_key(reply), state="open").first()

    def available(self):
        return ledger.balance(self.person.id).available_micro_usd


def test_any_order(transactional_db, monkeypatch):
    monkeypatch.setattr(ledger, "on_change", [])
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=examples(8),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
