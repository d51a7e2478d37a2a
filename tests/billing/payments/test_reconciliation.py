"""The reconciliation finds changes without webhooks; the order of events does not matter."""

import asyncio
import uuid
from datetime import timedelta

import pytest
import time_machine
from asgiref.sync import async_to_sync, sync_to_async
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from billing import audit, ledger
from billing.models import LedgerEntry, StripeReconciliation, TopUp
from billing.payments import chores as payment_chores
from billing.payments import reconciliation, stripe_api, stripe_webhooks, top_up_audit, top_ups
from billing.personal_data.handlers import personal_data
from tests.billing.payments.fake_stripe import LIVE_KEY
from tests.billing.payments.payment_steps import CREDITED, STEPS, carry_out, expected
from tests.billing.stripe_fixtures import balance, ordered, posted, run_at_once
from tests.examples import examples

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

REFUSED = {"error": {"type": "invalid_request_error", "message": "no permission"}}


def test_a_payment_without_a_webhook_is_found(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    assert reconciliation.reconcile() == 1
    assert posted(top_up) == CREDITED
    assert reconciliation.reconcile() == 0


def test_an_unfinished_top_up_is_refreshed_without_an_event(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    fake_stripe.events.clear()
    assert (
        reconciliation.reconcile() == 0
    )  # It is recent: its payer will probably return from Checkout.
    assert reconciliation.reconcile(timezone.now() + timedelta(minutes=3)) == 1
    assert posted(top_up) == CREDITED


@pytest.mark.parametrize("how", ["refund", "dispute"])
def test_money_returned_without_a_webhook_is_found(fake_stripe, payer, how):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    reconciliation.reconcile()
    getattr(fake_stripe, how)(top_up.session_id)
    assert reconciliation.reconcile() == 1
    assert balance(payer) == 0


def test_many_events_are_read_page_by_page(fake_stripe, payer, monkeypatch):
    monkeypatch.setattr(stripe_api, "EVENTS_PAGE", 3)
    many = [ordered(payer, 500) for _ in range(8)]
    for top_up in many:
        fake_stripe.pay(top_up.session_id)
    assert reconciliation.reconcile() == 8
    assert balance(payer) == 8 * 5_000_000


def test_only_one_worker_reconciles(fake_stripe, shared_database):
    payer = User.objects.create_user("alice@example.org", "correct horse")
    fake_stripe.pay(ordered(payer).session_id)
    turns = run_at_once(*[reconciliation.reconcile_if_due] * 4)
    assert sorted(turns, key=str) == [1, None, None, None]
    assert balance(payer) == 20_000_000


def test_the_next_run_is_due_after_the_interval(fake_stripe, payer):
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False) as clock:
        assert reconciliation.reconcile_if_due() == 0
        clock.shift(299)
        assert reconciliation.reconcile_if_due() is None
        clock.shift(2)
        assert reconciliation.reconcile_if_due() == 0


def test_an_outage_of_stripe_is_retried_from_the_same_point(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    fake_stripe.trouble = (503, {"error": {"type": "api_error", "message": "no"}})
    assert reconciliation.reconcile_if_due() is None
    assert StripeReconciliation.objects.get().done_until is None
    fake_stripe.trouble = None
    assert reconciliation.reconcile() == 1
    assert posted(top_up) == CREDITED


def test_payments_are_found_by_a_key_that_cannot_read_events(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    TopUp.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    fake_stripe.trouble_at = {"/v1/events": (403, REFUSED)}
    assert reconciliation.reconcile_if_due() is None
    assert posted(top_up) == CREDITED
    assert StripeReconciliation.objects.get().done_until is None


def test_top_ups_the_key_cannot_read_are_retried(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    reconciliation.reconcile()
    before = StripeReconciliation.objects.get().done_until
    fake_stripe.dispute(top_up.session_id)
    fake_stripe.trouble_at = {"/v1/disputes": (403, REFUSED)}
    assert reconciliation.reconcile() == 0
    assert StripeReconciliation.objects.get().done_until == before
    fake_stripe.trouble_at = {}
    assert reconciliation.reconcile() == 1
    assert balance(payer) == 0


def test_a_live_key_does_not_refresh_test_mode_top_ups(fake_stripe, payer, settings):
    ordered(payer)
    TopUp.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    settings.STRIPE_SECRET_KEY = LIVE_KEY
    fake_stripe.requests.clear()
    assert reconciliation.reconcile() == 0
    assert [path for _, path, _ in fake_stripe.requests] == ["/v1/events"]


def test_a_failed_refresh_does_not_stop_the_others(fake_stripe, payer, monkeypatch):
    bad, *good = sorted((ordered(payer) for _ in range(3)), key=lambda top_up: top_up.id)
    for top_up in (bad, *good):
        fake_stripe.pay(top_up.session_id)
    real = top_ups._credit

    def credit(top_up):
        if top_up.id == bad.id:
            raise ValueError("a fault of ours")
        real(top_up)

    with monkeypatch.context() as patch:
        patch.setattr(top_ups, "_credit", credit)
        assert reconciliation.reconcile() == 2
    assert [posted(top_up) for top_up in (bad, *good)] == [{}, CREDITED, CREDITED]
    # It is retried: events since then are read again.
    assert StripeReconciliation.objects.get().done_until is None
    assert reconciliation.reconcile() == 1
    assert posted(bad) == CREDITED


def test_paid_top_ups_are_refreshed_when_their_events_are_gone(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    reconciliation.reconcile()
    fake_stripe.refund(top_up.session_id)
    fake_stripe.events.clear()
    assert reconciliation.reconcile() == 0
    long_ago = timezone.now() - timedelta(days=31)
    StripeReconciliation.objects.update(done_until=long_ago)
    TopUp.objects.update(looked_at=long_ago)
    assert reconciliation.reconcile() == 1
    assert balance(payer) == 0


def test_a_leavers_open_orders_are_closed(fake_stripe, shared_database):
    payer = User.objects.create_user("alice@example.org", "correct horse")
    still_open, paid = ordered(payer), ordered(payer)
    fake_stripe.pay(paid.session_id)
    async_to_sync(personal_data.erase)(payer)
    states = [TopUp.objects.get(id=top_up.id).state for top_up in (still_open, paid)]
    assert states == [TopUp.State.EXPIRED, TopUp.State.PAID]
    assert fake_stripe.sessions[still_open.session_id]["status"] == "expired"
    fake_stripe.requests.clear()
    async_to_sync(personal_data.erase)(payer)
    assert fake_stripe.requests == []


def test_people_can_leave_while_stripe_is_unavailable(fake_stripe, shared_database):
    payer = User.objects.create_user("alice@example.org", "correct horse")
    top_up = ordered(payer)
    fake_stripe.trouble = (503, {"error": {"type": "api_error", "message": "no"}})
    async_to_sync(personal_data.erase)(payer)
    assert TopUp.objects.get(id=top_up.id).state == TopUp.State.OPEN


def test_a_payment_after_the_account_was_deleted_is_logged(fake_stripe, payer, caplog):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    payer.delete()
    reconciliation.reconcile()
    assert f"top-up {top_up.id} was paid after its account was deleted" in caplog.text
    assert posted(top_up) == CREDITED


def test_an_order_without_a_checkout_page_expires(fake_stripe, payer):
    top_up = top_ups.order(payer.id, uuid.uuid4(), 500)
    TopUp.objects.filter(id=top_up.id).update(
        created_at=timezone.now() - timedelta(days=1),
        expires_at=timezone.now() - timedelta(hours=22),
    )
    reconciliation.reconcile()
    top_up.refresh_from_db()
    assert top_up.state == TopUp.State.EXPIRED


def test_a_slow_stripe_does_not_block_the_worker(fake_stripe, shared_database):
    """The worker uses the database in one thread; calls of Stripe have threads of their own."""
    payer = User.objects.create_user("alice@example.org", "correct horse")
    fake_stripe.pay(ordered(payer).session_id)
    fake_stripe.requests.clear()

    async def work():
        fake_stripe.gate.clear()
        [_, reconcile] = payment_chores.chores()
        running = asyncio.create_task(reconcile.run())
        async with asyncio.timeout(30):
            while not fake_stripe.requests:
                await asyncio.sleep(0.01)
            assert await sync_to_async(User.objects.count)() == 1
        assert not running.done()
        fake_stripe.gate.set()
        await running

    try:
        async_to_sync(work)()
    finally:
        fake_stripe.gate.set()
    assert balance(payer) == 20_000_000


def test_without_stripe_there_is_nothing_to_reconcile(fake_stripe, db, settings):
    settings.STRIPE_SECRET_KEY = ""
    assert reconciliation.reconcile_if_due() is None
    assert not StripeReconciliation.objects.exists()


# The audit


def test_the_audit_finds_a_top_up_that_is_booked_differently(fake_stripe, payer):
    paid, unpaid, refunded = (ordered(payer) for _ in range(3))
    for top_up in (paid, refunded):
        fake_stripe.pay(top_up.session_id)
    fake_stripe.refund(refunded.session_id, 7)
    reconciliation.reconcile()
    assert list(top_up_audit.differences()) == []
    ledger.post(payer.id, "refund", -1, key="a", top_up_id=paid.id)
    ledger.post(payer.id, "top_up", 1, key="b", top_up_id=unpaid.id)
    ledger.post(payer.id, "top_up", 1, key="c", top_up_id=uuid.uuid4())
    TopUp.objects.filter(id=refunded.id).update(refunded_cents=8)
    differences = "\n".join(audit.books().differences)
    for top_up in (paid, unpaid, refunded):
        assert f"top-up {top_up.id}: should be booked as" in differences
    assert "was booked, but does not exist" in differences


# Order and repetition

HEARD = st.one_of(
    st.just(("nothing", 0)),
    st.tuples(st.just("webhook"), st.integers(0, 30)),
    st.tuples(st.just("return"), st.just(0)),
    st.tuples(st.just("reconcile"), st.just(0)),
)


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    # Most runs begin with a payment, because little can happen without one.
    first=st.sampled_from(("pay", "pay", "bank", "expire")),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), HEARD), min_size=2, max_size=14),
)
def test_events_in_any_order_and_repeated_give_the_same_ledger(fake_stripe, payer, first, steps):
    """The ledger follows from the final state at Stripe, whatever events arrived in which order."""
    fake_stripe.clear()
    StripeReconciliation.objects.update_or_create(
        id=StripeReconciliation.SINGLE_ID, defaults={"done_until": timezone.now()}
    )
    TopUp.objects.exclude(state__in=TopUp.ENDED).update(state=TopUp.State.EXPIRED)
    heard = ordered(payer)
    for action, (how, number) in ((first, ("nothing", 0)), *steps):
        carry_out(fake_stripe, heard.session_id, action)
        if how == "webhook" and fake_stripe.events:
            event = fake_stripe.events[number % len(fake_stripe.events)]
            stripe_webhooks.handle(stripe_api._event(event))
        elif how == "return":
            top_ups.refresh(heard.id)
        elif how == "reconcile":
            reconciliation.reconcile()
    reconciliation.reconcile(timezone.now() + timedelta(minutes=5))
    at_the_end = posted(heard)
    assert at_the_end == expected(fake_stripe, heard)
    assert list(top_up_audit.differences()) == []
    entries = LedgerEntry.objects.filter(top_up_id=heard.id).count()
    for event in [*fake_stripe.events, *reversed(fake_stripe.events)]:
        stripe_webhooks.handle(stripe_api._event(event))
    assert posted(heard) == at_the_end
    assert LedgerEntry.objects.filter(top_up_id=heard.id).count() == entries
