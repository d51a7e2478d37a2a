"""Contents of the billing pages: bounded, consistent, and limited to the viewer's own data."""

import csv
import io
import re
import uuid
from datetime import datetime
from html import unescape
from http import HTTPStatus

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import GuestJoin, Preferences, User
from billing import ledger
from billing.models import TopUp, Usage
from billing.pages import statements
from billing.payments import top_ups
from chat.models import Chat
from tests.billing.stripe_fixtures import ordered

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def client_of(person):
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def signed_in(payer, redis_url):
    return client_of(payer)


@pytest.fixture
def guest(transactional_db, redis_url):
    return User.objects.create(is_guest=True, password="!")


def text_of(response):
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split()))


def rows_of(response):
    return list(csv.reader(io.StringIO(response.getvalue().decode("utf-8-sig"))))


def chat_of(person, title="Tides & moons"):
    return Chat.objects.create(
        id=uuid.uuid4(), owner=person, title=title, model="x", updated_at=timezone.now()
    )


def used(person, at, *, chat=None, purpose="answer", model="openai/gpt", tokens=1_000):
    """A free call made at that time ("2026-03-01T12:00Z")."""
    with time_machine.travel(at, tick=False):
        return Usage.objects.create(
            key=str(uuid.uuid4()),
            person_id=person.id,
            purpose=purpose,
            chat_id=chat,
            model=model,
            day=datetime.fromisoformat(at).date(),
            prompt_tokens=tokens,
            completion_tokens=200,
            cost_micro_usd=0,
            charged_micro_usd=0,
            free="house",
        )


# Days


@pytest.mark.parametrize(
    ("zone", "moments", "days"),
    [
        # Summer time begins on the 29th: that day has 23 hours.
        ("Europe/Berlin", ["2026-03-28T23:30Z", "2026-03-29T21:59Z"], ["2026-03-29"] * 2),
        ("Europe/Berlin", ["2026-03-28T22:59Z", "2026-03-29T22:00Z"], ["2026-03-28", "2026-03-30"]),
        # Summer time ends on the 25th: that day has 25 hours.
        ("Europe/Berlin", ["2026-10-24T22:00Z", "2026-10-25T22:59Z"], ["2026-10-25"] * 2),
        # There is no midnight on the 24th there.
        ("Africa/Cairo", ["2026-04-23T21:59Z", "2026-04-23T22:00Z"], ["2026-04-23", "2026-04-24"]),
        ("Pacific/Kiritimati", ["2024-02-28T10:00Z", "2024-02-29T09:59Z"], ["2024-02-29"] * 2),
        (
            "Pacific/Pago_Pago",
            ["2026-01-01T10:59Z", "2026-01-01T11:00Z"],
            ["2025-12-31", "2026-01-01"],
        ),
    ],
)
def test_usage_days_are_in_the_persons_time_zone(signed_in, payer, zone, moments, days):
    Preferences.objects.create(person=payer, time_zone=zone)
    for moment in moments:
        used(payer, moment)
    with time_machine.travel(f"{days[-1]}T12:00Z", tick=False):
        whole = rows_of(signed_in.get("/billing/usage.csv?by=day"))
        counted = {row[0]: int(row[1]) for row in whole[1:] if int(row[1])}
        assert counted == {day: days.count(day) for day in days}
        for day in set(days):
            query = f"from={day}&to={day}"
            text = text_of(signed_in.get(f"/billing/usage?{query}"))
            assert f"Calls {days.count(day)} " in text
            calls = rows_of(signed_in.get(f"/billing/usage.csv?by=call&{query}"))
            assert len(calls) == 1 + days.count(day)
        assert f"Days are those of {zone.replace('_', ' ')}" in text_of(
            signed_in.get("/billing/usage")
        )


def test_today_is_in_the_persons_time_zone(signed_in, payer):
    Preferences.objects.create(person=payer, time_zone="Asia/Tokyo")
    used(payer, "2026-03-04T20:00Z")
    with time_machine.travel("2026-03-04T20:30Z", tick=False):
        page = signed_in.get("/billing/usage").content.decode()
    assert 'name="to" value="2026-03-05"' in page


# Many rows


def test_the_page_lists_the_dearest_chats_and_sums_the_others(signed_in, payer):
    most = statements.MOST_ROWS
    for number in range(most + 10):
        chat = chat_of(payer, f"Chat {number:03d}")
        used(payer, "2026-03-01T12:00Z", chat=chat.id, model=f"m/{number:03d}")
    for _ in range(3):  # The chat with most calls.
        for _ in range(2):
            used(payer, "2026-03-01T12:00Z", chat=(gone := uuid.uuid4()))
        used(payer, "2026-03-01T12:00Z", chat=gone)
    with time_machine.travel("2026-03-01T13:00Z", tick=False):
        text = text_of(signed_in.get("/billing/usage"))
        rows = rows_of(signed_in.get("/billing/usage.csv?by=chat"))
    listed = len(re.findall(r"Chat \d{3}", text))
    merged = [int(count) for count in re.findall(r"(\d+) (?:deleted|other) chats", text)]
    assert most - 6 <= listed <= most and listed + sum(merged) == most + 10 + 6
    assert re.search(r"\d+ other models", text)
    assert len(rows) == 1 + most + 10 + 6
    tokens = Usage.objects.values_list("prompt_tokens", flat=True)
    assert sum(int(row[2]) for row in rows[1:]) == sum(tokens)


@pytest.mark.parametrize("path", ["/billing", "/billing/usage"])
def test_the_number_of_queries_is_constant(signed_in, payer, path):
    def queries():
        with CaptureQueriesContext(connection) as seen:
            assert signed_in.get(path).status_code == HTTPStatus.OK
        return len(seen)

    def add(count):
        for number in range(count):
            chat = chat_of(payer).id
            used(payer, "2026-03-01T12:00Z", chat=chat, model=f"m/{number}")
            key = str(uuid.uuid4())
            ledger.post(payer.id, "adjustment", 1, key=key, reason="x", chat_id=chat)

    with time_machine.travel("2026-03-01T13:00Z", tick=False):
        add(3)
        few = queries()
        add(70)
        assert queries() == few


def test_the_history_can_be_paged_to_its_end(signed_in, payer):
    for number in range(120):
        ledger.post(payer.id, "adjustment", 1, key=str(number), reason=f"gift {number:03d}")
    seen = []
    for page in (1, 2, 3):
        seen += re.findall(r"gift \d{3}", text_of(signed_in.get(f"/billing?page={page}")))
    assert seen == [f"gift {number:03d}" for number in reversed(range(120))]
    for odd in ("0", "4", "x", "-1", "9" * 40):
        assert signed_in.get("/billing", {"page": odd}).status_code == HTTPStatus.OK


# One chat


def test_a_chats_usage_has_all_its_days(signed_in, payer):
    chat = chat_of(payer)
    used(payer, "2026-01-02T12:00Z", chat=chat.id)
    used(payer, "2026-03-04T12:00Z", chat=chat.id)
    used(payer, "2026-03-04T12:00Z", chat=uuid.uuid4())
    with time_machine.travel("2026-03-05T12:00Z", tick=False):
        page = signed_in.get(f"/billing/usage?chat={chat.id}")
        text = text_of(page)
        assert 'name="from" value="2026-01-02"' in page.content.decode()
        assert "Usage of “Tides & moons”" in text and "Calls 2 " in text
        # The links keep the days that are shown.
        link = re.search(r'href="(/billing/usage\.csv\?by=call[^"]+)"', page.content.decode())
        assert len(rows_of(signed_in.get(unescape(link[1])))) == 1 + 2


def test_calls_for_titles_are_shown_separately(signed_in, payer):
    chat = chat_of(payer)
    used(payer, "2026-03-04T12:00Z", chat=chat.id)
    used(payer, "2026-03-04T12:00Z", chat=chat.id, purpose="title")
    with time_machine.travel("2026-03-05T12:00Z", tick=False):
        text = text_of(signed_in.get(f"/billing/usage?chat={chat.id}"))
    assert "1 of these calls was for the title of a chat: $0.00." in text


def test_free_usage_is_charted_in_tokens(signed_in, payer):
    used(payer, "2026-03-04T12:00Z", tokens=4_000)
    with time_machine.travel("2026-03-05T12:00Z", tick=False):
        page = signed_in.get("/billing/usage")
    chart = re.search(r"<svg viewBox=.*?</svg>", page.content.decode(), re.S)[0]
    assert "Tokens by day" in text_of(page) and "5,000" in chart and "4 Mar: 4,200" in chart
    assert "$" not in chart


# Ownership


def test_people_see_only_their_own_data(signed_in, payer, redis_url):
    bob = User.objects.create_user("bob@example.org", "correct horse")
    chat = chat_of(bob, "Bob's secret")
    used(bob, "2026-03-04T12:00Z", chat=chat.id, model="his/model")
    ledger.post(bob.id, "adjustment", 1_000, key="b", reason="for Bob", chat_id=chat.id)
    with time_machine.travel("2026-03-05T12:00Z", tick=False):
        paths = [f"/billing/usage?chat={chat.id}", "/billing", "/billing/usage"]
        seen = "".join(text_of(signed_in.get(path)) for path in paths)
        for by in ("call", "day", "model", "chat"):
            path = f"/billing/usage.csv?by={by}&chat={chat.id}"
            seen += signed_in.get(path).getvalue().decode()
        seen += signed_in.get("/billing/history.csv").getvalue().decode()
        assert "Calls 1 " in text_of(client_of(bob).get(f"/billing/usage?chat={chat.id}"))
    assert not re.search("secret|his/model|for Bob|,1,", seen, re.I)


def test_the_former_guests_usage_is_in_the_accounts_pages(signed_in, payer, guest):
    GuestJoin.objects.create(guest_id=guest.id, account=payer)
    ledger.post(guest.id, "guest_budget", 500_000, key="g")
    chat = chat_of(payer)
    used(guest, "2026-03-04T12:00Z", chat=chat.id)
    with time_machine.travel("2026-03-05T12:00Z", tick=False):
        assert "Calls 1 " in text_of(signed_in.get(f"/billing/usage?chat={chat.id}"))
    assert "as a guest" in text_of(signed_in.get("/billing"))


# Empty balances


def test_no_sign_up_credit_is_promised_when_it_is_zero(guest, settings):
    settings.CREDIT_SIGN_UP_MICRO_USD = 0
    text = text_of(client_of(guest).get("/billing"))
    assert "Sign up to go on" in text and "$0.00 of credit" not in text
    assert statements.balance_json(guest)["sign_up_micro_usd"] == 0
    settings.CREDIT_SIGN_UP_MICRO_USD = 2_000_000
    text = text_of(client_of(guest).get("/billing"))
    assert "An account comes with $2.00 of credit." in text
    assert statements.balance_json(guest)["sign_up_micro_usd"] == 2_000_000


def test_an_empty_balance_shows_what_still_works(signed_in, settings):
    settings.STRIPE_SECRET_KEY = ""
    page = signed_in.get("/billing")
    assert "Credit cannot be bought on this site." in text_of(page)
    assert 'href="/settings/keys">your own keys' in page.content.decode()


def test_the_last_incoming_credit_is_found_without_reading_all_charges(payer):
    """Every answer sends the balance, so computing it must not read all earlier charges."""
    for number in range(300):
        ledger.post(payer.id, "fee", -1, key=str(number))
    ledger.post(payer.id, "adjustment", 1_000_000, key="a", reason="x")
    with CaptureQueriesContext(connection) as queries:
        assert statements.standing(payer).balance_micro_usd == 999_700
    [query] = queries
    if connection.vendor == "sqlite":  # PostgreSQL's planner uses statistics.
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = " ".join(row[3] for row in cursor.fetchall())
        assert "ledger_of_kind (person_id=? AND kind=?" in plan
        assert "SCAN" not in plan


# Paying


def test_leaving_checkout_keeps_the_chosen_amount(signed_in, fake_stripe):
    fields = {"id": str(uuid.uuid4()), "credit": "5000", "next": "/c/abc"}
    signed_in.post("/billing/top-ups", fields)
    session = fake_stripe.sessions[TopUp.objects.get().session_id]
    page = signed_in.get(session["cancel_url"].removeprefix("http://testserver"))
    assert "Nothing was charged." in text_of(page)
    assert re.search(r'value="5000" checked', page.content.decode())
    assert 'href="/c/abc"' in page.content.decode()
    for odd in (
        "",
        "x",
        uuid.uuid4(),
        ordered(User.objects.create_user("bob@example.org", "x")).id,
    ):
        page = signed_in.get("/billing", {"left": odd})
        assert "Nothing was charged." not in text_of(page)
        assert 'value="1000" checked' in page.content.decode()


def test_leaving_checkout_after_paying_in_another_tab_shows_the_credit(
    signed_in, fake_stripe, payer
):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)  # No webhook has arrived yet.
    text = text_of(signed_in.get("/billing", {"left": top_up.id}))
    assert "Nothing was charged." not in text and "Credit $20.00" in text


def test_the_page_after_checkout_stops_reloading(signed_in, fake_stripe, payer):
    top_up = ordered(payer)
    path = f"/billing/top-ups/{top_up.id}?from=checkout&next=/c/abc"
    looks = 0
    while link := re.search(
        r'refresh" content="4;url=([^"]+)"', signed_in.get(path).content.decode()
    ):
        path = f"/billing/top-ups/{top_up.id}{unescape(link[1])}"
        looks += 1
    assert 1 < looks <= 20
    assert "Reload it to check" in text_of(signed_in.get(path)) and "next=%2Fc%2Fabc" in path
    for odd in ("-1", "x", "9" * 30):
        page = signed_in.get(f"/billing/top-ups/{top_up.id}", {"from": "checkout", "looks": odd})
        assert "refresh" not in page.content.decode()
    # A bank payment is not refreshed every few seconds.
    fake_stripe.pay(top_up.session_id, "bank")
    TopUp.objects.update(looked_at=None)
    page = signed_in.get(f"/billing/top-ups/{top_up.id}?from=checkout")
    assert "Your bank is working on it" in text_of(page)
    assert 'http-equiv="refresh"' not in page.content.decode()


def test_a_receipt_shows_refunds(signed_in, fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_ups.refresh(top_up.id)
    receipt = f"/billing/top-ups/{top_up.id}"
    assert "Thank you. $20.00 of credit was added" in text_of(signed_in.get(receipt))
    fake_stripe.refund(top_up.session_id, 1_100)
    top_ups.refresh(top_up.id)
    text = text_of(signed_in.get(receipt))
    assert "$11.00 of this payment was paid back to you" in text and "Thank you" not in text
    fake_stripe.refund(top_up.session_id)
    top_ups.refresh(top_up.id)
    assert "All of this payment was paid back to you" in text_of(signed_in.get(receipt))


def test_a_receipt_shows_a_dispute(signed_in, fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    fake_stripe.dispute(top_up.session_id)
    top_ups.refresh(top_up.id)
    text = text_of(signed_in.get(f"/billing/top-ups/{top_up.id}"))
    assert "Your bank has taken this payment back" in text and "Thank you" not in text
    fake_stripe.close_dispute(top_up.session_id, won=True)
    top_ups.refresh(top_up.id)
    assert "Thank you" in text_of(signed_in.get(f"/billing/top-ups/{top_up.id}"))
