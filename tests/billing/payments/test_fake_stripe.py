"""The fake Stripe sends only fields that the pinned version of the library knows."""

from typing import get_args

import pytest
import stripe
from stripe.params.checkout import SessionCreateParams

from billing.payments import stripe_api, stripe_webhooks
from tests.billing.payments import fake_stripe as fake
from tests.billing.payments.fake_stripe import FakeStripe


@pytest.fixture
def everything():
    """One object of each kind, after every action that the fake supports."""
    made = FakeStripe()
    line = {"price_data": {"currency": "usd", "product_data": {"name": "x"}, "unit_amount": "2200"}}
    session = made._create_session(
        {"mode": "payment", "success_url": "x", "line_items": [line | {"quantity": "1"}]}
    )
    made.pay(session["id"])
    made.refund(session["id"], 100)
    made.fail_refund(session["id"])
    made.dispute(session["id"], 300)
    made.close_dispute(session["id"], won=True)
    return made


def test_its_objects_have_no_fields_that_stripes_have_not(everything):
    (dispute,) = everything.disputes.values()
    kinds = {
        stripe.checkout.Session: [*everything.sessions.values()],
        stripe.PaymentIntent: [*everything.intents.values()],
        stripe.Charge: [*everything.charges.values()],
        stripe.Refund: [*everything.refunds.values()],
        stripe.Dispute: [dispute],
        stripe.BalanceTransaction: dispute["balance_transactions"],
        stripe.Event: everything.events,
    }
    for kind, objects in kinds.items():
        assert objects, kind
        for item in objects:
            assert item["object"] == kind.OBJECT_NAME
            names = {name for name in item if not name.startswith("_")}
            # Stripe omits `livemode` where it is unknown; the fake never does.
            assert names - {"livemode"} <= kind.__annotations__.keys()


def test_only_events_and_parameters_that_exist_are_used():
    known = set(get_args(stripe.Event.__annotations__["type"]))
    assert known.issuperset(stripe_webhooks.TYPES)
    assert SessionCreateParams.__annotations__.keys() >= fake.SESSION_PARAMS


def test_it_speaks_the_version_that_is_pinned():
    assert fake.VERSION == stripe_api.API_VERSION
