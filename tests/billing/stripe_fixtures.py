"""Fixtures of the tests about Stripe: a fake Stripe, and a person who pays."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from billing import ledger
from billing.models import LedgerEntry, TopUp
from billing.payments import top_ups
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, running_fake_stripe

WEBHOOK = "/billing/stripe-webhook"


@pytest.fixture(scope="session")
def stripe_server():
    with running_fake_stripe() as fake:
        yield fake


@pytest.fixture
def fake_stripe(stripe_server, settings):
    """The fake Stripe, empty and configured in the settings."""
    stripe_server.clear()
    settings.STRIPE_SECRET_KEY = SECRET_KEY
    settings.STRIPE_WEBHOOK_SECRETS = [WEBHOOK_SECRET]
    settings.STRIPE_API_BASE = stripe_server.url
    return stripe_server


@pytest.fixture
def payer(transactional_db):
    return User.objects.create_user("alice@example.org", "correct horse")


def ordered(person, cents=2_000) -> TopUp:
    """A top-up whose Checkout is open."""
    top_up = top_ups.order(person.id, uuid.uuid4(), cents)
    assert top_up is not None
    top_ups.open_session(
        top_up,
        email=person.email,
        success_url="https://chat.example.org/billing/top-ups/x",
        cancel_url="https://chat.example.org/billing",
    )
    return top_up


def posted(top_up) -> dict[str, int]:
    """Sums booked for a top-up by kind; a dispute and its reversal are one kind."""
    sums: dict[str, int] = {}
    for entry in LedgerEntry.objects.filter(top_up_id=top_up.id):
        kind = "dispute" if entry.kind == "dispute_won" else entry.kind
        sums[kind] = sums.get(kind, 0) + entry.amount_micro_usd
    return {kind: amount for kind, amount in sums.items() if amount}


def balance(person) -> int:
    return ledger.balance(person.id).balance_micro_usd


class Caller:
    """Calls the webhook as Stripe does, through Django's whole stack."""

    def __init__(self, fake):
        self.fake = fake

    def call(self, event, **signing):
        body, headers = self.fake.signed(event, **signing)
        return self.post(body, headers.get("Stripe-Signature"))

    def post(self, body, signature, path=WEBHOOK, address="127.0.0.1"):
        headers = {} if signature is None else {"Stripe-Signature": signature}
        client = Client(enforce_csrf_checks=True, REMOTE_ADDR=address)
        return client.post(path, body, content_type="application/json", headers=headers)


@pytest.fixture
def caller(fake_stripe, redis_url):
    return Caller(fake_stripe)


def run_at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls concurrently in threads. Returns their results or exceptions, in order."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = call()
        except Exception as error:  # noqa: BLE001 (returned)
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
