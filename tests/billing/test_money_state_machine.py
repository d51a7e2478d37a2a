"""Sends, stops, crashes, payments, webhooks, refunds and disputes, in any order and repeated.

After every step the books balance and equal those of a model.
"""

import uuid
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from accounts.models import User
from billing import audit, holds, ledger
from billing.admin import staff
from billing.errors import OutOfCredit
from billing.models import Hold, LedgerEntry, StripeReconciliation, TopUp, Usage
from billing.payments import reconciliation, top_ups
from billing.payments.stripe_errors import PaymentError
from billing.token_usage import TokenUsage
from chat.charging import pricing
from chat.charging.attempts import Attempt, AttemptUsage
from chat.charging.settle import charge, settle
from chat.llm.endpoints import Endpoint, Model
from chat.llm.tokens import TOKENS_PER_MESSAGE, estimate_tokens
from chat.models import Reply
from chat.sending.send import Send
from chat.sending.sends import place_continue, place_send
from chat.work_orders import load_order
from tests.billing.payments.payment_steps import STEPS, carry_out, expected
from tests.billing.stripe_fixtures import ordered, posted
from tests.examples import examples

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

# $10 per million input tokens, $20 per million output tokens.
IN, OUT = 10, 20
MODEL = Model(
    "openrouter/a/b",
    "A",
    Endpoint("openrouter", "https://openrouter.example/v1", "k"),
    200_000,
    pricing=(("prompt", "0.00001"), ("completion", "0.00002")),
)
which = st.integers(0, 30)
tokens = st.integers(0, 60_000)
costs = st.none() | st.integers(0, 3_000_000)
TEXT = "What an attempt has written before it was cut short. "


class Everything(RuleBasedStateMachine):
    """The model: Stripe's last known answers, and each charge."""

    replies = Bundle("replies")

    def __init__(self, fake, caller):
        super().__init__()
        self.fake, self.caller = fake, caller
        fake.clear()
        StripeReconciliation.objects.all().delete()
        TopUp.objects.exclude(state__in=TopUp.ENDED).update(state=TopUp.State.EXPIRED)
        name = uuid.uuid4()
        self.person = User.objects.create_user(f"{name}@example.org")
        self.staff = User.objects.create_user(f"staff-{name}@example.org", is_staff=True)
        self.top_up = ordered(self.person)
        self.heard, self.adjusted, self.charged = {}, 0, {}
        self.sends, self.orders, self.tried, self.acts = {}, {}, {}, []
        self.running = set()

    # Payments

    @rule(action=st.sampled_from(STEPS))
    def at_stripe(self, action):
        carry_out(self.fake, self.top_up.session_id, action)

    @rule(number=which, times=st.integers(1, 2))
    def webhook(self, number, times):
        if self.fake.events:
            event = self.fake.events[number % len(self.fake.events)]
            for _ in range(times):
                assert self.caller.call(event).status_code == 200
            self.has_looked()

    @rule(number=which)
    def forged_webhook(self, number):
        if self.fake.events:
            event = self.fake.events[number % len(self.fake.events)]
            assert self.caller.call(event, secret="whsec_guessed").status_code == 400

    @rule()
    def comes_back(self):
        top_ups.refresh(self.top_up.id)
        self.has_looked()

    @rule()
    def reconciled(self):
        reconciliation.reconcile(timezone.now() + timedelta(minutes=5))
        self.has_looked()

    @rule(cents=st.integers(1, 2_500), again=st.booleans())
    def refunded_by_staff(self, cents, again):
        if not (again and self.acts):
            self.acts.append((cents, uuid.uuid4()))
        cents, action_id = self.acts[-1]
        self.top_up.refresh_from_db()
        fields = {"action_id": action_id, "reason": "Sorry", "staff_id": self.staff.id}
        with suppress(staff.StaffActionRefused, PaymentError):
            staff.refund(self.top_up, cents, **fields)
        self.comes_back()

    @rule(amount=st.integers(-3_000_000, 3_000_000).filter(bool))
    def adjusted_by_staff(self, amount):
        fields = {"reason": "Sorry", "staff_id": self.staff.id, "limited": False}
        action_id = uuid.uuid4()
        for _ in range(2):
            staff.adjust(self.person.id, amount, action_id=action_id, **fields)
        self.adjusted += amount

    def has_looked(self):
        self.heard = expected(self.fake, self.top_up)

    # Sends

    @rule(target=replies, length=st.integers(1, 20_000))
    def send(self, length):
        order = Send(uuid.uuid4(), uuid.uuid4(), "x" * length, MODEL.id, None)
        least = (
            IN * (estimate_tokens(order.text) + TOKENS_PER_MESSAGE) + OUT * holds.MIN_ANSWER_TOKENS
        )
        before = self.balance().available_micro_usd
        try:
            reply = place_send(self.person, order, MODEL)
        except OutOfCredit:
            assert before < least
            assert not Reply.objects.filter(id=Reply.id_for_message(order.id)).exists()
            return multiple()
        assert self.balance().available_micro_usd == before - least >= 0
        self.sends[reply.id], self.tried[reply.id] = order, []
        return reply.id

    @rule(reply=replies)
    def send_again(self, reply):
        before = self.balance()
        assert place_send(self.person, self.sends[reply], MODEL).id == reply
        assert self.balance() == before

    @rule(reply=replies, prompt=tokens, text=st.sampled_from(["", TEXT, TEXT * 40]))
    def begin(self, reply, prompt, text):
        """A worker starts the reply; the one before it was killed after writing `text`."""
        if (order := load_order(str(reply))) is None:
            return
        tried = self.tried[reply]
        if self.under_way(reply) is not None:
            tried[-1].text = text
            self.running.discard(reply)
            self.expect(reply, tried[-1])
            charge(order.reply, tried, MODEL)
        number = tried[-1].number + 1 if tried else 1
        self.orders[reply] = order
        try:
            budget = pricing.reserve(order, number, MODEL, pricing.price_of(MODEL), prompt)
        except OutOfCredit:
            self.finish(reply, Reply.State.FAILED)
            return
        tried.append(Attempt(number, MODEL.id, prompt))
        self.running.add(reply)
        hold = Hold.objects.get(key=holds.answer_key(reply), state="open")
        assert IN * prompt + OUT * budget.max_tokens <= hold.amount_micro_usd
        assert self.balance().available_micro_usd >= 0

    @rule(reply=replies, written=tokens, cost=costs)
    def answered(self, reply, written, cost):
        if (last := self.under_way(reply)) is not None:
            used = TokenUsage(last.prompt_tokens, written, cost_micro_usd=cost)
            last.recorded = AttemptUsage(last.number, used)
            self.expect(reply, last)
            self.finish(reply, Reply.State.DONE)

    @rule(reply=replies, text=st.sampled_from(["", TEXT, TEXT * 40]), failed=st.booleans())
    def stopped_or_failed(self, reply, text, failed):
        if (last := self.under_way(reply)) is not None:
            last.text = text
            self.expect(reply, last)
            last.recorded = AttemptUsage(last.number, last.usage)
        order = load_order(str(reply))
        if order is not None:
            self.orders[reply] = order
            self.finish(reply, Reply.State.FAILED if failed else Reply.State.STOPPED)

    @rule(reply=replies)
    def ended_again(self, reply):
        """A second or a frozen worker ends the reply again."""
        before = self.balance()
        if reply in self.orders and load_order(str(reply)) is None:
            self.finish(reply, Reply.State.DONE)
            assert self.balance() == before

    @rule(reply=replies)
    def goes_on(self, reply):
        row = Reply.objects.get(id=reply)
        if row.state not in (Reply.State.STOPPED, Reply.State.FAILED):
            return
        for _ in range(2):
            try:
                place_continue(self.person, row.chat_id, reply, MODEL)
            except OutOfCredit:
                assert Reply.objects.get(id=reply).is_final

    # Invariants

    @invariant()
    def the_books_add_up(self):
        assert audit.books().differences == []
        assert posted(self.top_up) == self.heard
        rows = LedgerEntry.objects.filter(purse_id=self.person.id)
        entries = sum(rows.values_list("amount_micro_usd", flat=True))
        expected = sum(self.heard.values()) + self.adjusted - sum(self.charged.values())
        assert self.balance().balance_micro_usd == entries == expected

    def teardown(self):
        self.fake.trouble = None
        self.reconciled()
        for reply in self.sends:
            self.stopped_or_failed(reply, TEXT, failed=False)
        assert not Hold.objects.filter(purse_id=self.person.id, state="open").exists()
        assert self.balance().held_micro_usd == 0
        self.the_books_add_up()
        paid = Usage.objects.filter(person_id=self.person.id)
        assert sum(self.charged.values()) == sum(paid.values_list("charged_micro_usd", flat=True))

    def balance(self):
        return ledger.balance(self.person.id)

    def under_way(self, reply):
        """The attempt in progress, if any."""
        return self.tried[reply][-1] if reply in self.running else None

    def expect(self, reply, attempt):
        """The charge of this attempt, by the rules of docs/billing.md."""
        key, used = f"{holds.answer_key(reply)}:{attempt.number}", attempt.usage
        hold = Hold.objects.filter(key=holds.answer_key(reply), state="open").first()
        if used is None or key in self.charged or hold is None:
            return
        cost = IN * used.prompt_tokens + OUT * used.completion_tokens
        if used.cost_micro_usd is not None:
            cost = used.cost_micro_usd
        self.charged[key] = min(cost, hold.amount_micro_usd)

    def finish(self, reply, state):
        self.running.discard(reply)
        settle(self.orders[reply], state, self.tried[reply], MODEL)


def test_money_state_machine(fake_stripe, caller, transactional_db, monkeypatch):
    monkeypatch.setattr(ledger, "on_change", [])
    run_state_machine_as_test(
        lambda: Everything(fake_stripe, caller),
        settings=settings(
            max_examples=examples(6),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
