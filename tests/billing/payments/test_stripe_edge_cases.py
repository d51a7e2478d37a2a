"""Rare behaviour of Stripe.

Each event type, each state of a dispute, failed refunds, errors, events that are listed late, and
top-ups that cannot be refreshed.
"""

import time
import uuid
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import LedgerEntry, StripeReconciliation, TopUp
from billing.payments import reconciliation, stripe_api, top_up_audit, top_ups
from billing.payments.stripe_errors import PaymentRefused, PaymentsUnavailable
from tests.billing.payments.payment_steps import expected
from tests.billing.stripe_fixtures import balance, ordered, posted, run_at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
CREDITED = {"top_up": 22_000_000, "fee": -2_000_000}


@pytest.fixture
def paid(fake_stripe, payer):
    """A top-up that was paid, without any webhook."""
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    return top_up


@pytest.fixture
def impatient(monkeypatch):
    """Disables retries of the library."""
    monkeypatch.setattr(stripe_api, "NETWORK_RETRIES", 0)
    stripe_api._client_of.cache_clear()
    yield
    stripe_api._client_of.cache_clear()


# Any event type suffices, whichever arrives first. docs/billing.md lists them.


@pytest.mark.parametrize(
    "kind",
    [
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "charge.refunded",
        "charge.refund.updated",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    ],
)
def test_each_event_type_leads_to_the_current_state(caller, fake_stripe, payer, paid, kind):
    fake_stripe.refund(paid.session_id, 1_100)
    fake_stripe.dispute(paid.session_id, 220)
    kept = {
        "checkout": fake_stripe.sessions,
        "refund": fake_stripe.refunds,
        "charge.dispute": fake_stripe.disputes,
        "charge.refund.updated": fake_stripe.refunds,
        "charge.refunded": fake_stripe.charges,
    }
    [*_, name] = sorted((name for name in kept if kind.startswith(name)), key=len)
    [about] = kept[name].values()
    assert caller.call(fake_stripe.make_event(kind, about)).json() == {"outcome": "paid"}
    assert posted(paid) == CREDITED | {"refund": -10_000_000, "dispute": -2_000_000}
    assert list(top_up_audit.differences()) == []


@pytest.mark.parametrize(
    ("status", "taken"),
    [
        ("needs_response", True),
        ("under_review", True),
        ("lost", True),
        ("warning_needs_response", False),
        ("warning_under_review", False),
        ("warning_closed", False),
    ],
)
def test_a_dispute_takes_credit_while_its_money_is_withdrawn(
    caller, fake_stripe, paid, status, taken
):
    event = fake_stripe.dispute(paid.session_id, 1_100, status=status)
    caller.call(event)
    assert posted(paid) == CREDITED | ({"dispute": -10_000_000} if taken else {})


def test_disputes_of_one_payment_are_summed(caller, fake_stripe, payer, paid):
    fake_stripe.dispute(paid.session_id, 550)
    caller.call(fake_stripe.dispute(paid.session_id, 1_100))
    assert posted(paid)["dispute"] == -15_000_000
    caller.call(fake_stripe.close_dispute(paid.session_id, won=True))
    assert posted(paid)["dispute"] == -5_000_000


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_failed_staff_refund_is_not_confused_with_another(caller, fake_stripe, paid, status):
    staff = User.objects.create_user("staff@example.org", is_staff=True)
    fake_stripe.refund(paid.session_id, 300, {"staff": str(staff.id), "reason": "Mine"})
    fake_stripe.fail_refund(paid.session_id)
    [refund] = fake_stripe.refunds.values()
    refund["status"] = status
    caller.call(fake_stripe.refund(paid.session_id, 300))
    [entry] = LedgerEntry.objects.filter(kind="refund")
    assert (entry.reason, entry.staff_id) == ("", None)
    assert list(top_up_audit.differences()) == []


@pytest.mark.parametrize("note", [{"staff": "nobody"}, {"staff": "7", "reason": "x"}, {}])
def test_invalid_metadata_makes_a_refund_without_staff(caller, fake_stripe, paid, note):
    caller.call(fake_stripe.refund(paid.session_id, 300, note))
    [entry] = LedgerEntry.objects.filter(kind="refund")
    assert (entry.reason, entry.staff_id) == ("", None)


@pytest.mark.parametrize("status", ["requires_payment_method", "canceled"])
def test_a_failed_bank_payment(fake_stripe, payer, status):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id, "bank")
    [intent] = fake_stripe.intents.values()
    intent["status"] = status
    assert top_ups.refresh(top_up.id).state == TopUp.State.FAILED
    # Money that arrives later is still credited.
    fake_stripe.settle(top_up.session_id)
    assert top_ups.refresh(top_up.id).state == TopUp.State.PAID
    assert posted(top_up) == CREDITED


def test_uneven_shares_are_rounded_once(caller, fake_stripe, paid):
    fake_stripe.refund(paid.session_id, 333)
    caller.call(fake_stripe.dispute(paid.session_id, 500))
    assert posted(paid) == CREDITED | {"refund": -3_027_272, "dispute": -4_545_455}
    assert list(top_up_audit.differences()) == []


# Orders


def test_an_order_is_not_found_by_another_orders_id(fake_stripe, payer):
    bob = User.objects.create_user("bob@example.org", "correct horse")
    his, mine = ordered(bob), ordered(payer)
    assert top_ups.order(payer.id, his.id, 2_000) is None
    assert top_ups.order(payer.id, mine.id, 500) is None
    assert top_ups.order(payer.id, mine.id, 2_000) == mine


def test_an_order_without_a_checkout_page_waits_until_it_expires(fake_stripe, payer):
    top_up = top_ups.order(payer.id, uuid.uuid4(), 500)
    assert top_ups.refresh(top_up.id).state == TopUp.State.CREATED
    TopUp.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    top_up = top_ups.refresh(top_up.id)
    assert top_up.state == TopUp.State.EXPIRED
    made = {"email": payer.email, "success_url": "https://a/", "cancel_url": "https://a/"}
    assert top_ups.open_session(top_up, **made) == ""
    assert not fake_stripe.sessions


@pytest.mark.parametrize("how", ["pay", "expire"])
def test_paid_and_expired_orders_have_no_checkout_page(fake_stripe, payer, how):
    top_up = ordered(payer)
    getattr(fake_stripe, how)(top_up.session_id)
    top_up = top_ups.refresh(top_up.id)
    made = {"email": payer.email, "success_url": "https://a/", "cancel_url": "https://a/"}
    assert top_ups.open_session(top_up, **made) == ""
    assert len(fake_stripe.sessions) == 1


# Errors


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0, PaymentsUnavailable),
        (409, PaymentsUnavailable),
        (429, PaymentsUnavailable),
        (500, PaymentsUnavailable),
        (503, PaymentsUnavailable),
        (400, PaymentRefused),
        (401, PaymentRefused),
        (403, PaymentRefused),
        (404, PaymentRefused),
    ],
)
def test_temporary_and_permanent_errors_are_distinguished(
    impatient, fake_stripe, paid, status, error
):
    fake_stripe.trouble = (status, {"error": {"type": "api_error", "message": "no"}})
    with pytest.raises(error):
        top_ups.refresh(paid.id)
    assert posted(paid) == {}


@pytest.mark.parametrize(("age_s", "status"), [(240, 200), (330, 400)])
def test_a_call_is_accepted_for_five_minutes(caller, fake_stripe, paid, age_s, status):
    [event] = fake_stripe.events
    assert caller.call(event, at=time.time() - age_s).status_code == status


def test_overlong_ids_are_refused(caller, fake_stripe, paid):
    [event] = fake_stripe.events
    assert caller.call(event | {"id": "evt_" + "x" * 300}).status_code == 400
    assert caller.call(event | {"type": "x" * 300}).status_code == 400
    assert posted(paid) == {}


# The reconciliation


def test_an_event_listed_late_is_found(fake_stripe, payer, paid):
    begun = timezone.now()
    reconciliation.reconcile(begun)
    assert StripeReconciliation.objects.get().done_until == begun
    fake_stripe.refund(paid.session_id, 1_100)
    # The event is older, but was not in the list before.
    for event in fake_stripe.events:
        event["created"] = int((begun - timedelta(minutes=10)).timestamp())
    assert reconciliation.reconcile(begun + timedelta(minutes=5)) == 1
    assert posted(paid)["refund"] == -10_000_000


def test_a_top_up_unknown_to_stripe_does_not_stop_the_others(
    impatient, fake_stripe, payer, paid, caplog
):
    unknown = ordered(payer)
    del fake_stripe.sessions[unknown.session_id]
    assert reconciliation.reconcile(timezone.now() + timedelta(minutes=5)) == 1
    assert posted(paid) == CREDITED
    assert f"could not refresh top-up {unknown.id}" in caplog.text
    assert "1 top-ups had changed without a webhook" in caplog.text


def test_an_interrupted_run_is_repeated(fake_stripe, payer, paid, monkeypatch):
    def away(_top_up_id):
        raise PaymentsUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(top_ups, "refresh", away)
        with pytest.raises(PaymentsUnavailable):
            reconciliation.reconcile()
    assert StripeReconciliation.objects.get().done_until is None


# Concurrency


def test_concurrent_refreshes_during_refunds(fake_stripe, shared_database):
    payer = User.objects.create_user("alice@example.org", "correct horse")
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_ups.refresh(top_up.id)

    def refund_and_look():
        fake_stripe.refund(top_up.session_id, 101)
        return top_ups.refresh(top_up.id).state

    def look():
        return top_ups.refresh(top_up.id).state

    assert set(run_at_once(*[refund_and_look, look] * 4)) == {TopUp.State.PAID}
    top_ups.refresh(top_up.id)
    assert posted(top_up) == expected(fake_stripe, top_up)
    assert list(top_up_audit.differences()) == []
    assert balance(payer) == 20_000_000 - 20_000_000 * 404 // 2_200


def test_concurrent_answers_of_stripe_book_once(fake_stripe, shared_database):
    """Both answers were requested for the same state of the row; only one is stored."""
    payer = User.objects.create_user("alice@example.org", "correct horse")
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_ups.refresh(top_up.id)
    for _ in range(4):
        seen, old = TopUp.objects.get(id=top_up.id), stripe_api.get_session(top_up.session_id)
        fake_stripe.refund(top_up.session_id, 101)
        new = stripe_api.get_session(top_up.session_id)
        written = run_at_once(*(partial(top_ups._apply, seen, session) for session in (old, new)))
        assert written.count(None) == 1
        top_ups.refresh(top_up.id)
        assert posted(top_up) == expected(fake_stripe, top_up)
        assert list(top_up_audit.differences()) == []
