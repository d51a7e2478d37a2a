"""Explanations of charges, for payers and staff: tokens by kind times price is cost."""

import csv
import io
import re
import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import User
from billing import holds, ledger
from billing.holds import Call
from billing.models import LedgerEntry, Usage
from billing.pages.explanations import exact_dollars, explain
from billing.personal_data import export as exports
from billing.prices import versions as prices
from billing.prices.versions import Rates
from billing.token_usage import TokenUsage

pytestmark = pytest.mark.django_db(transaction=True)
MODEL = "openrouter/maker/able"
RATES = Rates(
    150_000,
    600_000,
    cached_input_micro_usd=75_000,
    cache_write_micro_usd=187_500,
    reasoning_micro_usd=1_000_000,
    per_request_micro_usd=7,
)


@pytest.fixture
def person(redis_url):
    person = User.objects.create_user("alice@example.org", "x")
    ledger.post(person.id, "adjustment", 1_000_000, key="a", reason="To begin with")
    return person


def paid(person, used, answer_tokens=200):
    """The usage of a call that was held for and settled."""
    price = prices.offer(MODEL, RATES, "openrouter")
    reply = uuid.uuid4()
    key = holds.answer_key(reply)
    call = Call(key, f"{key}:1", "answer", person.id, MODEL, uuid.uuid4(), reply, 1)
    holds.reserve(person, call, price, 2_000, answer_tokens)
    holds.charge(call, used, last=True)
    return Usage.objects.get(key=call.key)


USED = TokenUsage(1_234, 100, cached_tokens=1_000, reasoning_tokens=40, cache_write_tokens=34)


def test_the_rows_add_up_to_the_cost(person):
    usage = paid(person, USED)
    explained = explain(usage)
    assert [(row.tokens, row.kind, row.rate, row.amount) for row in explained.rows] == [
        (200, "read", "$0.15", "$0.00003"),
        (1_000, "read from the provider’s cache", "$0.075", "$0.000075"),
        (34, "read and put into the provider’s cache", "$0.1875", "$0.000006375"),
        (60, "written", "$0.60", "$0.000036"),
        (40, "of reasoning", "$1.00", "$0.00004"),
        (0, "for the request", "", "$0.000007"),
    ]
    total = sum(Decimal(row.amount.lstrip("$")) for row in explained.rows)
    assert total == Decimal("0.000194375")
    assert usage.charged_micro_usd == 195
    assert explained.sentences[0] == "Together $0.000194375, rounded up to $0.000195."
    assert explained.sentences[1].startswith(f"Price version 1 of {MODEL}, since ")


@pytest.mark.parametrize(
    ("used", "sentence"),
    [
        (TokenUsage(10, 0, cost_micro_usd=77), "The provider says that it cost $0.000077"),
        (
            TokenUsage(2_000, 0, estimated=True),
            "It was stopped while the provider was still reading, before it wrote anything. "
            "We counted",
        ),
        (TokenUsage(10, 0, cost_micro_usd=900_000), "was set aside for it, and no more was taken."),
        (TokenUsage(2_000_000, 0), "Together $0.300007."),
    ],
)
def test_it_says_which_cost_counted_and_why_less_was_charged(person, used, sentence):
    assert sentence in " ".join(explain(paid(person, used)).sentences)


def test_a_free_call_says_why(person):
    call = Call("x", "x:1", "answer", person.id, "local/small", uuid.uuid4(), free="local")
    holds.charge(call, TokenUsage(10, 10))
    assert explain(Usage.objects.get()).sentences == ["Not charged: a local model."]


def test_sound_is_explained_by_its_tokens_and_its_length(person):
    rates = Rates(150_000, 0, audio_micro_usd=1_000_000, sound_micro_usd=100_000)
    prices.set_by_staff("openai/hears", rates, person.id)
    price = prices.current("openai/hears")
    call = Call("t", "t:1", Usage.Purpose.TRANSCRIPTION, person.id, "openai/hears", None)
    holds.place(person, "t", price, 1_000, chat_id=None, sound_ms=1_500)
    holds.charge(call, TokenUsage(100, 0, audio_tokens=90, sound_ms=1_500), last=True)
    found = explain(Usage.objects.get(key="t:1"))
    assert [(row.kind, row.tokens, row.amount) for row in found.rows] == [
        ("read", 10, "$0.0000015"),
        ("of sound, read", 90, "$0.00009"),
        ("for 1.5 s of sound", 0, "$0.00015"),
    ]
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/billing").content.decode()
    assert "Transcript of sound" in page and "For 1.5 s of sound: $0.00015" in page


def test_amounts_are_shown_with_every_digit():
    assert exact_dollars(Decimal("1234567.000001")) == "$1.234567000001"
    assert exact_dollars(Decimal(10**10)) == "$10,000.00"
    assert exact_dollars(Decimal(0)) == "$0.00"


def test_the_payer_sees_how_each_charge_adds_up(person):
    paid(person, USED)
    paid(person, TokenUsage(10, 1, cost_micro_usd=77))
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    page = " ".join(re.sub(r"<[^>]+>", " ", client.get("/billing").content.decode()).split())
    assert page.count("How it adds up") == 2
    assert "1,000 tokens read from the provider’s cache, at $0.075 a million: $0.000075" in page
    assert "For the request: $0.000007" in page
    assert "1 token written The provider says that it cost $0.000077" in page


@pytest.mark.parametrize("name", ["usage", "ledgerentry"])
def test_staff_sees_how_a_charge_adds_up(person, client, name):
    usage = paid(person, USED)
    entry = LedgerEntry.objects.get(kind="charge")
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    staff.groups.add(Group.objects.get(name="Support"))
    client.force_login(staff)
    row = usage if name == "usage" else entry
    page = client.get(reverse(f"admin:billing_{name}_change", args=[row.pk])).content.decode()
    assert "$0.000006375" in page and "rounded up to $0.000195." in page
    other = LedgerEntry.objects.get(kind="adjustment")
    page = client.get(reverse("admin:billing_ledgerentry_change", args=[other.pk]))
    assert b"rounded up" not in page.content


def test_the_export_has_each_kind_of_token(person):
    paid(person, USED)
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/billing/usage.csv?by=call").getvalue().decode("utf-8-sig")
    for text in (page, "".join(exports.usage_csv(person.id))):
        [row] = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
        read = [row["prompt_tokens"], row["cached_tokens"], row["cache_write_tokens"]]
        wrote = [row["completion_tokens"], row["reasoning_tokens"]]
        assert (read, wrote) == (["1234", "1000", "34"], ["100", "40"])
