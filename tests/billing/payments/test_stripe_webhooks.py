"""Webhooks: signed by Stripe's library, forged, stale, repeated, out of order, concurrent."""

import asyncio
import hashlib
import json
import time
import uuid
from http import HTTPStatus

import pytest
import stripe
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.db import IntegrityError, OperationalError, transaction

from accounts.models import User
from billing.models import LedgerEntry, TopUp
from billing.payments import stripe_api, stripe_webhooks, top_up_audit, top_ups
from config.asgi import application
from streams.log import close_log, get_log
from tests.billing.payments.fake_stripe import WEBHOOK_SECRET
from tests.billing.stripe_fixtures import WEBHOOK, balance, ordered, posted, run_at_once
from tests.config.web.raw_requests import respond, scope_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

CREDITED = {"top_up": 22_000_000, "fee": -2_000_000}


async def read_log():
    """Entries of the webhook log, oldest first."""
    entries = await get_log().read(stripe_webhooks.STREAM, chat=stripe_webhooks.CHAT)
    return [json.loads(entry.data) for entry in entries]


@async_to_sync
async def logged():
    try:
        return await read_log()
    finally:
        await close_log()


def completed(fake, top_up, how="card"):
    return fake.pay(TopUp.objects.get(id=top_up.id).session_id, how)


# Accepted


def test_a_payment_is_credited_less_the_fee(caller, fake_stripe, payer):
    top_up = ordered(payer)
    response = caller.call(completed(fake_stripe, top_up))
    assert (response.status_code, response.json()) == (200, {"outcome": "paid"})
    assert posted(top_up) == CREDITED
    assert balance(payer) == 20_000_000
    top_up.refresh_from_db()
    assert top_up.paid_at and top_up.receipt_url and top_up.charge_id.startswith("ch_")


def test_checkout_has_the_quoted_amounts(fake_stripe, payer):
    top_up = ordered(payer, 500)
    session = fake_stripe.sessions[top_up.session_id]
    assert session["amount_total"] == 550
    names = [line["price_data"]["product_data"]["name"] for line in session["_line_items"]]
    assert names == ["Holdfast credit", "Processing fee (10%)"]
    assert session["client_reference_id"] == session["metadata"]["top_up"] == str(top_up.id)
    assert session["_intent_data"]["metadata"] == {"top_up": str(top_up.id)}
    assert session["customer_email"] == payer.email
    assert session["adaptive_pricing"] == {"enabled": False}


def test_a_repeated_webhook_changes_nothing_and_is_logged_each_time(caller, fake_stripe, payer):
    top_up = ordered(payer)
    event = completed(fake_stripe, top_up)
    for _ in range(3):
        assert caller.call(event).status_code == HTTPStatus.OK
    assert LedgerEntry.objects.filter(top_up_id=top_up.id).count() == 2
    kinds = [entry["type"] for entry in logged()]
    assert kinds == ["webhook.received", "webhook.done"] * 3


def test_concurrent_webhooks_and_returns_credit_once(fake_stripe, shared_database):
    payer = User.objects.create_user("alice@example.org", "correct horse")
    top_up = ordered(payer)
    event = stripe_api._event(completed(fake_stripe, top_up))
    webhook = [lambda: stripe_webhooks.handle(event).name] * 4
    returns = [lambda: str(top_ups.refresh(top_up.id).state)] * 2
    assert run_at_once(*webhook, *returns) == ["paid"] * 6
    assert posted(top_up) == CREDITED
    assert LedgerEntry.objects.filter(top_up_id=top_up.id).count() == 2


def test_a_bank_payment_is_credited_when_it_arrives(caller, fake_stripe, payer):
    top_up = ordered(payer)
    assert caller.call(completed(fake_stripe, top_up, "bank")).json() == {"outcome": "processing"}
    assert posted(top_up) == {}
    assert caller.call(fake_stripe.settle(top_up.session_id)).json() == {"outcome": "paid"}
    assert posted(top_up) == CREDITED


def test_a_bank_payment_that_fails_gives_nothing(caller, fake_stripe, payer):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up, "bank"))
    event = fake_stripe.settle(top_up.session_id, succeeds=False)
    assert caller.call(event).json() == {"outcome": "failed"}
    assert posted(top_up) == {}


def test_a_session_that_expires_gives_nothing(caller, fake_stripe, payer):
    top_up = ordered(payer)
    assert caller.call(fake_stripe.expire(top_up.session_id)).json() == {"outcome": "expired"}
    assert posted(top_up) == {}


def test_a_refund_takes_its_share_of_the_credit_back(caller, fake_stripe, payer):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    caller.call(fake_stripe.refund(top_up.session_id, 1_100))
    assert posted(top_up) == CREDITED | {"refund": -10_000_000}
    caller.call(fake_stripe.refund(top_up.session_id))
    assert posted(top_up) == CREDITED | {"refund": -20_000_000}
    assert balance(payer) == 0


def test_uneven_partial_refunds_add_up(caller, fake_stripe, payer):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    for cents in (1, 333, 777):
        caller.call(fake_stripe.refund(top_up.session_id, cents))
    caller.call(fake_stripe.refund(top_up.session_id))
    assert balance(payer) == 0


def test_a_refund_that_fails_is_credited_again(caller, fake_stripe, payer):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    caller.call(fake_stripe.refund(top_up.session_id))
    assert balance(payer) == 0
    caller.call(fake_stripe.fail_refund(top_up.session_id))
    assert balance(payer) == 20_000_000


def test_a_failed_refund_does_not_count_even_if_the_charge_says_so(caller, fake_stripe, payer):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    fake_stripe.refund(top_up.session_id, 1_100)
    caller.call(fake_stripe.refund(top_up.session_id, 100))
    caller.call(fake_stripe.fail_refund(top_up.session_id, charge_follows=False))
    assert balance(payer) == 10_000_000


def test_spent_money_that_is_refunded_leaves_a_debt(caller, fake_stripe, payer):
    from billing import ledger

    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    ledger.post(payer.id, "adjustment", -15_000_000, key="spent", reason="spent elsewhere")
    caller.call(fake_stripe.refund(top_up.session_id))
    assert balance(payer) == -15_000_000


@pytest.mark.parametrize(("won", "left"), [(True, 20_000_000), (False, 0)])
def test_a_dispute_takes_the_credit_and_gives_it_back_if_won(caller, fake_stripe, payer, won, left):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    caller.call(fake_stripe.dispute(top_up.session_id))
    assert balance(payer) == 0
    caller.call(fake_stripe.close_dispute(top_up.session_id, won=won))
    assert balance(payer) == left


def test_an_inquiry_that_takes_no_money_takes_no_credit(caller, fake_stripe, payer):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    caller.call(fake_stripe.dispute(top_up.session_id, status="warning_needs_response"))
    assert balance(payer) == 20_000_000


@pytest.mark.parametrize(
    ("status", "moves", "left"),
    [
        ("needs_response", [], 20_000_000),  # Its money is withdrawn later (funds_withdrawn).
        ("appeal_needs_response", [-1], 0),  # Lost, then appealed.
        ("appeal_under_review", [-1], 0),
        ("appeal_under_review", [-1, 1], 20_000_000),  # Won, then appealed by the other side.
        ("won", [-1, 0.98], 20_000_000),  # Returned at another exchange rate.
        ("lost", [-1, 0.98, -1], 0),
        ("prevented", [-1], 0),
        ("prevented", [], 20_000_000),
        ("a_status_of_next_year", [-1], 0),
    ],
)
def test_a_dispute_in_any_status_takes_credit_while_its_money_is_gone(
    caller, fake_stripe, payer, status, moves, left
):
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    caller.call(fake_stripe.dispute(top_up.session_id))
    caller.call(fake_stripe.update_dispute(top_up.session_id, status, moves))
    assert balance(payer) == left
    assert list(top_up_audit.differences()) == []


def test_a_dispute_counts_in_the_currency_of_the_payment(caller, fake_stripe, payer):
    """The Stripe account may use another currency."""
    top_up = ordered(payer)
    caller.call(completed(fake_stripe, top_up))
    fake_stripe.dispute(top_up.session_id, 1_100)
    for dispute in fake_stripe.disputes.values():
        dispute["balance_transactions"][0] |= {"currency": "jpy", "amount": -165_000}
    top_ups.refresh(top_up.id)
    assert balance(payer) == 10_000_000


def test_a_refund_event_before_the_payment_event_books_both(caller, fake_stripe, payer):
    top_up = ordered(payer)
    completed(fake_stripe, top_up)
    assert caller.call(fake_stripe.refund(top_up.session_id)).json() == {"outcome": "paid"}
    assert posted(top_up) == CREDITED | {"refund": -20_000_000}


def test_a_dispute_event_before_the_payment_event_books_both(caller, fake_stripe, payer):
    top_up = ordered(payer)
    completed(fake_stripe, top_up)
    caller.call(fake_stripe.dispute(top_up.session_id))
    assert posted(top_up) == CREDITED | {"dispute": -20_000_000}


def test_an_older_answer_does_not_overwrite_a_newer_one(caller, fake_stripe, payer, monkeypatch):
    top_up = ordered(payer)
    completed(fake_stripe, top_up)
    real, calls = stripe_api.get_session, []

    def slow(session_id):
        session = real(session_id)
        calls.append(session_id)
        if len(calls) == 1:
            # While this answer is pending, the refund is made, announced and booked.
            fake_stripe.refund(session_id)
            top_ups.refresh(top_up.id)
        return session

    monkeypatch.setattr(stripe_api, "get_session", slow)
    top_ups.refresh(top_up.id)
    assert len(calls) == 3
    assert posted(top_up) == CREDITED | {"refund": -20_000_000}


def test_an_unknown_event_type_is_answered(caller, fake_stripe):
    event = fake_stripe.make_event("customer.created", {"id": "cus_1", "object": "customer"})
    response = caller.call(event)
    assert (response.status_code, response.json()) == (200, {"outcome": "unknown_type"})


def test_other_sales_of_the_stripe_account_are_not_ours(caller, fake_stripe, payer):
    top_up = ordered(payer)
    foreign = fake_stripe.sessions[top_up.session_id] | {"id": "cs_test_other"}
    event = fake_stripe.make_event("checkout.session.completed", foreign)
    assert caller.call(event).json() == {"outcome": "not_ours"}
    intent = fake_stripe._object("pi", "payment_intent", metadata={"order": "42"})
    fake_stripe.intents[intent["id"]] = intent
    charge = {"id": "ch_9", "object": "charge", "payment_intent": intent["id"], "metadata": {}}
    assert caller.call(fake_stripe.make_event("charge.refunded", charge)).json() == {
        "outcome": "not_ours"
    }
    gone = charge | {"payment_intent": "pi_of_another_account"}
    assert caller.call(fake_stripe.make_event("charge.refunded", gone)).json() == {
        "outcome": "not_ours"
    }


# Untrusted events


def test_amounts_come_from_the_api_not_from_the_event(caller, fake_stripe, payer):
    top_up = ordered(payer)
    claimed = fake_stripe.sessions[top_up.session_id] | {"payment_status": "paid"}
    event = fake_stripe.make_event("checkout.session.completed", claimed)
    assert caller.call(event).json() == {"outcome": "open"}
    assert posted(top_up) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_total": 100},
        {"currency": "jpy"},
        {"mode": "setup"},
        {"livemode": True},
        {"client_reference_id": str(uuid.uuid4())},
        {"metadata": {"top_up": str(uuid.uuid4())}},
        {"metadata": {}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_payment_that_differs_from_the_order_is_not_credited(caller, fake_stripe, payer, wrong):
    top_up = ordered(payer)
    event = completed(fake_stripe, top_up)
    fake_stripe.sessions[top_up.session_id].update(wrong)
    response = caller.call(event)
    assert (response.status_code, response.json()) == (200, {"outcome": "mismatch"})
    assert posted(top_up) == {}
    top_up.refresh_from_db()
    assert next(iter(wrong)).split("_")[0] in top_up.problem or "top_up" in top_up.problem


def test_another_persons_session_does_not_pay_for_mine(caller, fake_stripe, payer):
    mine = ordered(payer)
    bob = User.objects.create_user("bob@example.org", "correct horse")
    his = ordered(bob)
    event = completed(fake_stripe, his)
    TopUp.objects.filter(id=his.id).update(session_id="cs_other")
    TopUp.objects.filter(id=mine.id).update(session_id=his.session_id)
    caller.call(event)
    assert balance(payer) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"credit_cents": 9_000, "total_cents": 9_200},
        {"person_id": uuid.uuid4()},
        {"state": "open", "paid_at": None, "refunded_cents": 0},
        {"refunded_cents": 2_201},
        {"livemode": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_database_protects_orders_and_payments(fake_stripe, payer, change):
    top_up = ordered(payer)
    completed(fake_stripe, top_up)
    top_ups.refresh(top_up.id)
    mine = TopUp.objects.filter(id=top_up.id)
    with pytest.raises(IntegrityError), transaction.atomic():
        mine.update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        mine.delete()
    assert mine.get().state == TopUp.State.PAID


# Refused


def forged(fake, event):
    return fake.signed(event, secret="whsec_guessed")


def test_every_refused_call_is_logged_without_its_content(caller, fake_stripe, payer):
    top_up = ordered(payer)
    event = completed(fake_stripe, top_up)
    body, headers = fake_stripe.signed(event)
    good = headers["Stripe-Signature"]
    tries = {
        "no_signature": (body, None),
        "bad_signature": (body, forged(fake_stripe, event)[1]["Stripe-Signature"]),
        "stale": (body, fake_stripe.signed(event, at=time.time() - 400)[1]["Stripe-Signature"]),
        "too_large": (body + b" " * stripe_webhooks.MAX_BODY_BYTES, good),
    }
    for code, (sent, signature) in tries.items():
        response = caller.post(sent, signature)
        assert response.status_code == HTTPStatus.BAD_REQUEST
        assert response.json()["error"]["code"] == code
    assert posted(top_up) == {}
    entries = logged()
    assert [entry["code"] for entry in entries] == list(tries)
    assert {entry["type"] for entry in entries} == {"webhook.refused"}
    assert entries[0]["sha256"] == hashlib.sha256(body).hexdigest()
    text = json.dumps(entries)
    assert "v1=" not in text and WEBHOOK_SECRET not in text and "alice@example.org" not in text


@pytest.mark.parametrize("declared", [True, False])
def test_an_oversized_call_is_logged_even_if_its_body_is_rejected(caller, fake_stripe, declared):
    """The server rejects it before the view (config/web/body_limits.py)."""
    headers = [(b"content-length", b"300000")] if declared else []
    status, _, body = async_to_sync(respond)(scope_of(WEBHOOK, *headers), [b"x" * 300_000])
    assert (status, json.loads(body)["error"]["code"]) == (400, "too_large")
    (entry,) = logged()
    assert (entry["type"], entry["code"]) == ("webhook.refused", "too_large")


@pytest.mark.parametrize(
    "signature",
    ["", "t=", "v1=abc", "t=x,v1=y", "t=1", ",", "t=1,v0=abc", "=" * 5_000, "t=9" * 400, "t=1,v1"]
    + ["t=1,v1=é"],
)
def test_an_invalid_signature_is_refused(caller, fake_stripe, payer, signature):
    body, _ = fake_stripe.signed(completed(fake_stripe, ordered(payer)))
    assert caller.post(body, signature).status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"object": "event"}',
        b'{"object": "v2.core.event", "id": "evt_1", "type": "x", "livemode": false}',
        json.dumps({"object": "event", "id": 5, "type": "x", "data": {"object": {}}}).encode(),
        json.dumps({"object": "event", "id": "e", "type": "x", "data": []}).encode(),
    ],
)
def test_a_signed_body_that_is_not_an_event_is_refused(caller, body):
    text = body.decode("utf-8", "replace")
    signature = stripe.WebhookSignature.generate_signature_header(text, WEBHOOK_SECRET)
    assert caller.post(body, signature).status_code == HTTPStatus.BAD_REQUEST


def test_a_body_changed_after_signing_is_refused(caller, fake_stripe, payer):
    top_up = ordered(payer)
    body, headers = fake_stripe.signed(completed(fake_stripe, top_up))
    changed = body.replace(b"2200", b"9900")
    assert changed != body
    assert caller.post(changed, headers["Stripe-Signature"]).status_code == HTTPStatus.BAD_REQUEST


def test_a_test_key_refuses_live_events(caller, fake_stripe, payer):
    event = completed(fake_stripe, ordered(payer)) | {"livemode": True}
    response = caller.call(event)
    assert response.json()["error"]["code"] == "wrong_mode"


def test_either_secret_is_accepted_during_rotation(caller, fake_stripe, payer, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", WEBHOOK_SECRET]
    event = completed(fake_stripe, ordered(payer))
    assert caller.call(event).status_code == HTTPStatus.OK
    assert caller.call(event, secret="whsec_new").status_code == HTTPStatus.OK
    assert caller.call(event, secret="whsec_old").status_code == HTTPStatus.BAD_REQUEST


def test_without_a_secret_nothing_is_accepted(caller, fake_stripe, payer, settings):
    settings.STRIPE_WEBHOOK_SECRETS = []
    event = completed(fake_stripe, ordered(payer))
    assert caller.call(event).status_code == HTTPStatus.BAD_REQUEST
    assert caller.call(event, secret="").status_code == HTTPStatus.BAD_REQUEST


def test_forged_calls_share_a_limit_across_addresses(caller, settings):
    settings.LIMIT_REFUSED_WEBHOOKS_PER_HOUR_SITE = 2
    statuses = []
    for number in range(4):
        answer = caller.post(b"{}", "t=1,v1=abc", address=f"192.0.2.{number}")
        statuses.append(answer.status_code)
    assert statuses == [400, 400, 429, 429]
    assert len(logged()) == 2


def test_forged_calls_are_limited_per_address(caller, fake_stripe, settings):
    settings.LIMIT_REFUSED_WEBHOOKS_PER_MINUTE_ADDRESS = 2
    statuses = [caller.post(b"{}", "t=1,v1=abc").status_code for _ in range(4)]
    assert statuses == [400, 400, 429, 429]
    assert len(logged()) == 2
    event = fake_stripe.make_event("ping", {"id": "x", "object": "thing"})
    assert caller.call(event).status_code == HTTPStatus.OK


def test_without_stripe_the_webhook_is_not_found(caller, fake_stripe, settings):
    event = fake_stripe.make_event("ping", {"id": "x", "object": "thing"})
    settings.STRIPE_SECRET_KEY = ""
    assert caller.call(event).status_code == HTTPStatus.NOT_FOUND


# Failures


def test_a_call_is_logged_before_it_is_handled(caller, fake_stripe, payer, monkeypatch):
    seen = []

    def act(event):
        seen.extend(logged())
        return stripe_webhooks.Outcome("paid")

    monkeypatch.setattr(stripe_webhooks, "handle", act)
    event = completed(fake_stripe, ordered(payer))
    caller.call(event)
    assert [entry["type"] for entry in seen] == ["webhook.received"]
    assert seen[0]["event"] == event["id"]


def test_while_stripe_is_unavailable_calls_get_503(caller, fake_stripe, payer):
    top_up = ordered(payer)
    event = completed(fake_stripe, top_up)
    fake_stripe.trouble = (500, {"error": {"type": "api_error", "message": "no"}})
    assert caller.call(event).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert [entry["type"] for entry in logged()] == ["webhook.received", "webhook.failed"]
    fake_stripe.trouble = None
    assert caller.call(event).status_code == HTTPStatus.OK
    assert posted(top_up) == CREDITED


def test_an_event_the_key_cannot_resolve_is_not_taken_for_somebody_elses(
    caller, fake_stripe, payer
):
    """The dispute names only its payment, which is not known yet."""
    top_up = ordered(payer)
    completed(fake_stripe, top_up)
    event = fake_stripe.dispute(top_up.session_id)
    path = f"/v1/payment_intents/{event['data']['object']['payment_intent']}"
    error = {"type": "invalid_request_error", "message": "no permission"}
    fake_stripe.trouble_at = {path: (403, {"error": error})}
    assert caller.call(event).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    fake_stripe.trouble_at = {}
    assert caller.call(event).json() == {"outcome": "paid"}
    assert posted(top_up) == CREDITED | {"dispute": -20_000_000}


def test_while_the_log_is_unavailable_nothing_is_handled(caller, fake_stripe, payer, settings):
    top_up = ordered(payer)
    event = completed(fake_stripe, top_up)
    url = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    settings.STREAMS_APPEND_TIMEOUT_MS = 300
    assert caller.call(event).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert posted(top_up) == {}
    settings.REDIS_URL = url


def test_a_database_error_is_logged_as_the_outcome(caller, fake_stripe, payer, monkeypatch):
    top_up = ordered(payer)
    event = completed(fake_stripe, top_up)

    def gone(*_, **__):
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(TopUp.objects, "filter", gone)
        with pytest.raises(OperationalError):
            caller.call(event)
    assert [entry["type"] for entry in logged()] == ["webhook.received", "webhook.failed"]
    assert logged()[1]["code"] == "internal_error"
    assert caller.call(event).json() == {"outcome": "paid"}
    assert posted(top_up) == CREDITED


def test_a_slow_stripe_does_not_delay_the_answer(
    fake_stripe, shared_database, redis_url, monkeypatch
):
    """The call is answered while Stripe is silent; the handling continues and books the payment."""
    monkeypatch.setattr(stripe_webhooks, "HANDLE_TIMEOUT_S", 0.2)
    top_up = ordered(User.objects.create_user("alice@example.org", "correct horse"))
    body, headers = fake_stripe.signed(completed(fake_stripe, top_up))
    signature = (b"stripe-signature", headers["Stripe-Signature"].encode())

    async def call():
        fake_stripe.gate.clear()
        wire = ApplicationCommunicator(application, scope_of(WEBHOOK, signature))
        await wire.send_input({"type": "http.request", "body": body, "more_body": False})
        try:
            answer = await wire.receive_output(20)
        finally:
            fake_stripe.gate.set()
        await wire.receive_output(20)
        await wire.wait(20)
        await close_log()
        return answer["status"]

    assert async_to_sync(call)() == HTTPStatus.SERVICE_UNAVAILABLE
    assert [entry["type"] for entry in logged()] == ["webhook.received", "webhook.failed"]
    assert logged()[1]["code"] == "payments_away"
    assert top_ups.refresh(top_up.id).state == TopUp.State.PAID
    assert posted(top_up) == CREDITED


def test_the_outcome_is_logged_after_stripe_hangs_up(fake_stripe, payer, redis_url):
    top_up = ordered(payer)
    event = stripe_api._event(completed(fake_stripe, top_up))

    async def call():
        fake_stripe.gate.clear()
        fake_stripe.requests.clear()
        try:
            async with asyncio.timeout(30):
                calling = asyncio.create_task(stripe_webhooks.receive(event, b"{}", "192.0.2.1"))
                while not fake_stripe.requests:
                    await asyncio.sleep(0.01)
                calling.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await calling
                fake_stripe.gate.set()
                while len(await read_log()) < 2:
                    await asyncio.sleep(0.01)
        finally:
            fake_stripe.gate.set()
            await close_log()

    async_to_sync(call)()
    assert [entry["type"] for entry in logged()] == ["webhook.received", "webhook.done"]
    assert posted(top_up) == CREDITED
