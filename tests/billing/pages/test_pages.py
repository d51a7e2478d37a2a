"""The billing pages, as their owner, a guest and strangers see them."""

import csv
import io
import re
import uuid
from datetime import UTC, date, datetime, time
from http import HTTPStatus

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import Preferences, User
from billing import balance_news, ledger
from billing.models import LedgerEntry, TopUp, Usage
from billing.pages import statements
from billing.pages.charts import chart, nice_top
from billing.payments import checks as payment_checks
from billing.payments import receipts, top_ups
from chat.models import Chat
from config.env import email_settings
from tests.accounts.mailbox import running_mailbox
from tests.billing.stripe_fixtures import balance, ordered, posted

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signed_in(payer, redis_url):
    client = Client()
    client.force_login(payer, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def guest_client(transactional_db, redis_url):
    guest = User.objects.create(is_guest=True, password="!")
    client = Client()
    client.force_login(guest, backend="django.contrib.auth.backends.ModelBackend")
    return client


def text_of(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def order(client, cents=2_000, top_up_id=None, **more):
    fields = {"id": str(top_up_id or uuid.uuid4()), "credit": str(cents)} | more
    return client.post("/billing/top-ups", fields)


def used(person, cost=1_200, *, day=date(2026, 3, 1), model="openai/gpt", chat=None, free=""):
    """A call's usage, without a purse; the usage pages read nothing else."""
    noon = datetime.combine(day, time(12), UTC)
    with time_machine.travel(noon, tick=False):
        return Usage.objects.create(
            key=str(uuid.uuid4()),
            person_id=person.id,
            purpose="answer",
            chat_id=chat,
            model=model,
            day=day,
            prompt_tokens=1_000,
            completion_tokens=200,
            cost_micro_usd=cost,
            charged_micro_usd=0,
            free=free or "house",
        )


# Quotes


def test_the_exact_quote_is_on_the_page(signed_in, fake_stripe):
    text = text_of(signed_in.get("/billing"))
    for credit, fee, total in (
        ("$5.00", "$0.50", "$5.50"),
        ("$10.00", "$1.00", "$11.00"),
        ("$20.00", "$2.00", "$22.00"),
        ("$50.00", "$5.00", "$55.00"),
        ("$100.00", "$10.00", "$110.00"),
    ):
        assert f"{credit} + {fee} fee You pay {total}" in text


def test_without_stripe_there_is_nothing_to_buy(signed_in, settings):
    settings.STRIPE_SECRET_KEY = ""
    page = signed_in.get("/billing")
    assert page.status_code == HTTPStatus.OK
    assert "Add credit" not in text_of(page)
    assert order(signed_in).status_code == HTTPStatus.NOT_FOUND


def test_without_billing_there_are_no_billing_pages(signed_in, settings):
    settings.BILLING = False
    for path in ("/billing", "/billing/usage", "/billing/history.csv", "/billing/usage.csv"):
        assert signed_in.get(path).status_code == HTTPStatus.NOT_FOUND
    assert "Credit and usage" not in text_of(signed_in.get("/settings"))


def test_a_guest_sees_the_balance_and_how_to_sign_up(guest_client, fake_stripe):
    text = text_of(guest_client.get("/billing"))
    assert "Guest credit $0.50" in text
    assert "Sign up to go on" in text and "You pay" not in text
    assert order(guest_client).status_code == HTTPStatus.FOUND
    assert not TopUp.objects.exists()


# Topping up


def test_ordering_leads_to_checkout_and_back_to_a_receipt(signed_in, fake_stripe, payer):
    response = order(signed_in, next="/c/abc")
    top_up = TopUp.objects.get()
    session = fake_stripe.sessions[top_up.session_id]
    assert response.status_code == HTTPStatus.SEE_OTHER
    assert response["Location"] == session["url"]
    assert session["success_url"].endswith(f"/{top_up.id}?from=checkout&next=%2Fc%2Fabc")
    fake_stripe.pay(top_up.session_id)
    back = signed_in.get(session["success_url"].removeprefix("http://testserver"))
    assert "Receipt" in text_of(back) and "$22.00" in text_of(back)
    assert 'href="/c/abc"' in back.content.decode()
    assert balance(payer) == 20_000_000
    assert "You added credit" in text_of(signed_in.get("/billing"))


def test_a_double_click_is_one_order(signed_in, fake_stripe):
    top_up_id = uuid.uuid4()
    places = {order(signed_in, top_up_id=top_up_id)["Location"] for _ in range(2)}
    assert len(places) == 1
    assert len(fake_stripe.sessions) == TopUp.objects.count() == 1


def test_an_interrupted_order_gets_the_same_session(signed_in, fake_stripe, payer):
    top_up = ordered(payer)
    TopUp.objects.filter(id=top_up.id).update(session_id=None, session_url="", state="created")
    fake_stripe.requests.clear()
    again = TopUp.objects.get(id=top_up.id)
    url = top_ups.open_session(
        again,
        email=payer.email,
        success_url="https://chat.example.org/billing/top-ups/x",
        cancel_url="https://chat.example.org/billing",
    )
    assert url == fake_stripe.sessions[top_up.session_id]["url"]
    assert len(fake_stripe.sessions) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": "x", "credit": "500"},
        {"id": str(uuid.uuid4()), "credit": "1"},
        {"id": str(uuid.uuid4()), "credit": "-500"},
        {"id": str(uuid.uuid4()), "credit": "500.0"},
        {"id": str(uuid.uuid4()), "credit": "9" * 5_000},
    ],
)
def test_no_other_amount_can_be_ordered(signed_in, fake_stripe, fields):
    response = signed_in.post("/billing/top-ups", fields)
    assert response.status_code == HTTPStatus.FOUND
    assert not TopUp.objects.exists()


def test_the_id_of_another_order_orders_nothing(signed_in, fake_stripe, payer):
    bob = User.objects.create_user("bob@example.org", "correct horse")
    his = ordered(bob)
    order(signed_in, top_up_id=his.id)
    mine = ordered(payer)
    order(signed_in, 500, top_up_id=mine.id)
    assert TopUp.objects.count() == 2
    assert "out of date" in text_of(signed_in.get("/billing"))


def test_an_unavailable_stripe_shows_an_error(signed_in, fake_stripe):
    fake_stripe.trouble = (503, {"error": {"type": "api_error", "message": "no"}})
    assert order(signed_in).status_code == HTTPStatus.FOUND
    assert "Payments cannot be reached right now" in text_of(signed_in.get("/billing"))


def test_too_many_orders_are_refused_on_the_page(signed_in, fake_stripe, settings):
    settings.LIMIT_TOP_UPS_PER_HOUR_USER = 1
    order(signed_in)
    page = order(signed_in, 5_000)
    assert TopUp.objects.count() == 1
    assert page.status_code == HTTPStatus.TOO_MANY_REQUESTS and int(page["Retry-After"]) > 3_000
    text = text_of(page)
    assert "too often" in text and "Continue to payment" in text
    # The chosen amount is still selected.
    assert re.search(r'value="5000" checked', page.content.decode())


def test_too_many_orders_of_an_api_client_are_refused_in_json(signed_in, fake_stripe, settings):
    settings.LIMIT_TOP_UPS_PER_HOUR_USER = 1
    order(signed_in)
    body = {"id": str(uuid.uuid4()), "credit": "2000"}
    answer = signed_in.post("/billing/top-ups", body, headers={"Accept": "application/json"})
    assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS and answer["Retry-After"]
    assert answer.json()["error"]["code"] == "too_many_requests"


def test_times_are_those_of_the_persons_zone_and_the_csv_is_utc(signed_in, payer):
    Preferences.objects.create(person=payer, time_zone="Asia/Kathmandu")
    with time_machine.travel(datetime(2026, 2, 28, 20, 30, tzinfo=UTC), tick=False):
        ledger.post(payer.id, "top_up", 1, key="a")
        text = text_of(signed_in.get("/billing"))
        rows = signed_in.get("/billing/history.csv").getvalue().decode()
    assert "1 Mar 2026, 02:15" in text and "Times are in Asia/Kathmandu; the CSV" in text
    assert ",2026-02-28T20:30:00Z," in rows


def test_the_page_after_checkout_reloads_until_the_payment_arrives(signed_in, fake_stripe, payer):
    top_up = ordered(payer)
    page = signed_in.get(f"/billing/top-ups/{top_up.id}?from=checkout")
    assert "Waiting for the payment" in text_of(page)
    assert 'http-equiv="refresh"' in page.content.decode()
    fake_stripe.pay(top_up.session_id, "bank")
    TopUp.objects.update(looked_at=None)
    assert "Your bank is working on it" in text_of(signed_in.get(f"/billing/top-ups/{top_up.id}"))
    fake_stripe.settle(top_up.session_id)
    TopUp.objects.update(looked_at=None)
    assert "Receipt" in text_of(signed_in.get(f"/billing/top-ups/{top_up.id}"))
    assert posted(top_up)["top_up"] == 22_000_000


def test_reloads_do_not_read_from_stripe_each_time(signed_in, fake_stripe, payer):
    top_up = ordered(payer)
    for _ in range(5):
        signed_in.get(f"/billing/top-ups/{top_up.id}")
    assert len([path for _, path, _ in fake_stripe.requests if "/sessions/" in path]) == 1


def test_bank_payments_are_read_from_stripe_rarely(signed_in, fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id, "bank")
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False) as clock:
        requests = []
        for seconds in (0, 30, 31):
            clock.shift(seconds)
            fake_stripe.requests.clear()
            signed_in.get(f"/billing/top-ups/{top_up.id}")
            requests.append(len(fake_stripe.requests))
    assert requests == [1, 0, 1]


def test_only_the_payer_sees_the_receipt(signed_in, fake_stripe, payer):
    bob = User.objects.create_user("bob@example.org", "correct horse")
    his = ordered(bob)
    assert signed_in.get(f"/billing/top-ups/{his.id}").status_code == HTTPStatus.NOT_FOUND
    assert Client().get(f"/billing/top-ups/{his.id}").status_code == HTTPStatus.FOUND


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "javascript:alert(1)"])
def test_next_never_leads_to_another_site(signed_in, fake_stripe, path):
    page = signed_in.get("/billing", {"next": path}).content.decode()
    assert "evil" not in page and "alert" not in page


def test_a_receipt_is_mailed_once_with_text_and_html(fake_stripe, payer, settings, redis_url):
    settings.URL = "https://chat.example.org"
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_ups.refresh(top_up.id)
    with running_mailbox() as mailbox:
        for name, value in email_settings(f"smtp://127.0.0.1:{mailbox.port}").items():
            setattr(settings, name, value)
        assert receipts.mail_owed() == 1
        assert receipts.mail_owed() == 0
        mail = mailbox.to(payer.email)
    plain = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    assert "Total paid: $22.00 (USD)" in plain
    assert "Processing fee (10%): $2.00" in plain
    assert f"https://chat.example.org/billing/top-ups/{top_up.id}" in plain
    assert "Total paid: $22.00" in html and "&#x27;" not in plain


def test_a_receipt_that_cannot_be_sent_is_retried(fake_stripe, payer, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 2
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_ups.refresh(top_up.id)
    assert receipts.mail_owed() == 0
    assert TopUp.objects.get().receipt_mailed_at is None


# History and usage


def test_history_is_in_plain_words_and_pages(signed_in, payer):
    for number in range(60):
        reason = "Sorry for the outage" if number == 59 else "x"
        ledger.post(payer.id, "adjustment", 1_000, key=f"a{number}", reason=reason)
    first = text_of(signed_in.get("/billing"))
    assert "Sorry for the outage" in first and "+$0.001" in first and "Page 1 of 2" in first
    assert signed_in.get("/billing?page=2").content.count(b"Adjustment by the operator") == 10


def test_the_history_as_csv_has_everything_and_no_formula(signed_in, payer):
    for number in range(3):
        ledger.post(payer.id, "adjustment", 1_234_567, key=f"a{number}", reason="=1+1")
    response = signed_in.get("/billing/history.csv")
    rows = list(csv.reader(io.StringIO(response.getvalue().decode("utf-8-sig"))))
    assert rows[0][1:4] == ["at", "kind", "what"]
    assert [row[-1] for row in rows[1:]] == ["1.234567", "2.469134", "3.703701"]
    assert rows[1][4] == "'=1+1"


def test_usage_is_summed_by_day_model_and_chat(signed_in, payer):
    chat = Chat.objects.create(
        id=uuid.uuid4(), owner=payer, title="Tides & moons", model="x", updated_at=timezone.now()
    )
    with time_machine.travel("2026-03-05T12:00:00Z", tick=False):
        used(payer, chat=chat.id)
        used(payer, chat=chat.id, day=date(2026, 3, 2))
        used(payer, model="local/small", day=date(2026, 3, 4), chat=uuid.uuid4())
        used(payer, day=date(2026, 1, 1))
        text = text_of(signed_in.get("/billing/usage"))
        page = text_of(signed_in.get(f"/billing/usage?chat={chat.id}"))
        rows = signed_in.get("/billing/usage.csv?by=model").getvalue().decode("utf-8-sig")
    assert "Calls 3" in text and "Tokens read 3,000" in text
    assert "Tides &amp; moons" in text and "A deleted chat" in text and "local/small" in text
    assert "Calls 2" in page and "A deleted chat" not in page
    assert "openai/gpt,2,2000,400,0.000000" in rows


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("", "2026-02-04", "2026-03-05"),
        ("from=2026-03-01&to=2026-03-02", "2026-03-01", "2026-03-02"),
        ("from=2026-03-02&to=2026-03-01", "2026-03-01", "2026-03-01"),
        ("from=nonsense&to=2099-01-01", "2026-02-04", "2026-03-05"),
        ("from=0001-01-01&to=9999-12-31", "2026-02-04", "2026-03-05"),
        ("from=2001-01-01", "2025-01-30", "2026-03-05"),
        ("from=2024-02-29&to=2024-02-29", "2024-02-29", "2024-02-29"),
    ],
)
def test_an_invalid_range_is_clamped(signed_in, query, first, last):
    with time_machine.travel("2026-03-05T12:00:00Z", tick=False):
        page = signed_in.get(f"/billing/usage?{query}").content.decode()
    assert f'name="from" value="{first}"' in page
    assert f'name="to" value="{last}"' in page


@pytest.mark.parametrize("by", ["call", "day", "model", "chat"])
def test_usage_csv(signed_in, payer, by):
    used(payer, day=datetime.now(UTC).date())
    response = signed_in.get(f"/billing/usage.csv?by={by}")
    assert response["Content-Type"].startswith("text/csv")
    assert b"1000" in response.getvalue()
    assert signed_in.get("/billing/usage.csv?by=nothing").status_code == HTTPStatus.NOT_FOUND


# Balance


def test_the_level_is_low_at_a_fifth_of_the_last_credit_and_empty_at_zero(payer, fake_stripe):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_ups.refresh(top_up.id)

    def level_after(left):
        now = balance(payer)
        if now != left:
            ledger.post(payer.id, "adjustment", left - now, key=str(left), reason="spent")
        return statements.standing(payer).level

    entries = LedgerEntry.objects.filter(kind="adjustment")
    assert level_after(20_000_000) == "ok"
    assert level_after(4_000_001) == "ok"
    assert level_after(4_000_000) == "low"
    assert level_after(9_999) == "empty"
    assert level_after(-5) == "empty"
    assert entries.count() == 4


def test_the_page_says_when_the_free_credit_is_due(signed_in, payer):
    with time_machine.travel("2026-01-31T12:00:00Z", tick=False):
        ledger.post(payer.id, "adjustment", 1_000_000, key="a", reason="x")
        ledger.post(payer.id, "adjustment", -1_000_000, key="b", reason="x")
        assert "free credit comes on 2 March 2026" in text_of(signed_in.get("/billing"))


def test_a_changed_balance_notifies_that_persons_pages_only(payer, monkeypatch):
    notified = []
    monkeypatch.setattr(
        balance_news, "send_to_person", lambda person, message: notified.append((person, message))
    )
    ledger.post(payer.id, "adjustment", 1_000_000, key="a", reason="x")
    assert notified == [(payer.id, {"type": "balance.changed"})]


def test_a_failed_notification_does_not_stop_the_booking(payer, monkeypatch):
    def fail(*_):
        raise ConnectionError

    monkeypatch.setattr(balance_news, "send_to_person", fail)
    ledger.post(payer.id, "adjustment", 1_000_000, key="a", reason="x")
    assert balance(payer) == 1_000_000


# Charts


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (1, 2), (2, 2), (3, 5), (10, 10), (11, 20), (999_999, 1_000_000)]
)
def test_a_chart_ends_at_a_round_number(highest, top):
    assert nice_top(highest) == top


@pytest.mark.parametrize("highest", [1, 2, 3, 4, 5, 6, 10, 50, 399_000])
def test_bars_stay_within_the_chart(highest):
    drawn = chart([(str(n), highest * n // 399) for n in range(400)])
    for bar in drawn.bars:
        assert float(bar.x) + float(bar.width) <= drawn.width
        assert float(bar.y) >= 0 and float(bar.y) + float(bar.height) <= drawn.height
    assert chart([]).bars == []


# Checks of the settings


@pytest.mark.parametrize(
    ("key", "secrets", "https", "ids"),
    [
        ("", [], False, []),
        ("", ["whsec_x"], False, ["billing.W001"]),
        ("sk_test_x", ["whsec_x"], False, []),
        ("sk_test_x", [], False, ["billing.W002"]),
        ("pk_test_x", ["whsec_x"], True, ["billing.E001"]),
        ("rk_test_x", ["whsec_x"], True, ["billing.W003"]),
        ("sk_live_x", ["whsec_x"], False, ["billing.E002"]),
        ("rk_live_x", ["whsec_x"], True, []),
        ("sk_test_x", ["sk_test_x"], False, ["billing.E003"]),
    ],
)
def test_settings_about_payments_are_checked(settings, key, secrets, https, ids):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS = key, secrets
    settings.HTTPS = https
    problems = payment_checks.check_payments(None)
    assert [message.id for message in problems] == ids
    assert all(message.hint for message in problems)


def test_a_live_key_is_not_sent_in_the_clear(settings):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS = "sk_live_x", ["whsec_x"]
    settings.HTTPS, settings.STRIPE_API_BASE = True, "http://stripe-proxy.example.org"
    assert [message.id for message in payment_checks.check_payments(None)] == ["billing.E004"]
