"""The admin's page of Stripe's webhook calls: dates, filters, totals and CSV."""

import csv
import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.urls import reverse

from accounts.models import User
from billing.payments import stripe_webhooks, top_ups, webhook_calls
from billing.payments.stripe_errors import PaymentsUnavailable, WebhookRefused
from streams.browse import Span
from streams.keys import stream_keys
from tests.billing.stripe_fixtures import ordered

pytestmark = pytest.mark.django_db
URL = reverse("admin:billing_books_webhooks") if django_settings.configured else ""
DAY = datetime(2026, 3, 14, tzinfo=UTC)


@pytest.fixture
def finance(client):
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    staff.groups.add(Group.objects.get(name="Finance"))
    client.force_login(staff)
    return staff


@pytest.fixture
def log(redis_url):
    """Appends entries with any time to the log, in the form of streams/lua/append.lua."""
    with redis.Redis.from_url(redis_url) as client:
        key = stream_keys(django_settings.STREAMS_PREFIX, stripe_webhooks.STREAM).log
        pipe = client.pipeline(transaction=False)

        def write(at, kind, **facts):
            data = json.dumps({"type": kind} | facts)
            fields = {"c": stripe_webhooks.CHAT, "t": kind, "d": data}
            pipe.xadd(key, fields, id=f"{int(at.timestamp() * 1000)}-*")

        write.done = pipe.execute
        yield write


def call(log, at, event_type, outcome=None, *, took=timedelta(seconds=1), **more):
    name = str(uuid.uuid4())
    log(at, "webhook.received", call=name, event=f"evt_{name}", event_type=event_type)
    if outcome:
        log(at + took, "webhook.done", call=name, outcome=outcome, **more)
    elif outcome is None:
        log(at + took, "webhook.failed", call=name, code="payments_away")


PAID = "checkout.session.completed"


@pytest.fixture
def week(log):
    """Seven calls over three days; the test of the totals lists them."""
    call(log, DAY - timedelta(days=300), PAID, "paid", booked_micro_usd=7_000_000)
    # Received the day before, with its outcome on this day.
    call(log, DAY - timedelta(seconds=1), PAID, "paid", took=timedelta(seconds=2))
    call(log, DAY + timedelta(hours=1), PAID, "paid", booked_micro_usd=20_000_000)
    call(log, DAY + timedelta(hours=2), "charge.refunded", "paid", booked_micro_usd=-10_000_000)
    call(log, DAY + timedelta(hours=3), PAID)
    log(DAY + timedelta(hours=4), "webhook.refused", code="stale", address="192.0.2.1")
    call(log, DAY + timedelta(hours=5), "invoice.paid", "")
    # Its outcome is written on the next day.
    late = timedelta(hours=23, minutes=59, seconds=59)
    call(log, DAY + late, PAID, "processing", took=timedelta(minutes=2))
    call(log, DAY + timedelta(days=1, hours=2), PAID, "paid", booked_micro_usd=5_000_000)
    log.done()


def counts(totals):
    return {(kind, detail): number for kind, detail, number in totals.by_outcome}


def test_a_days_totals_have_the_calls_received_on_it(client, finance, week):
    totals = client.get(URL, {"period": "2026-03-14"}).context["totals"]
    assert counts(totals) == {
        ("done", "paid"): 2,
        ("done", "processing"): 1,
        ("failed", "payments_away"): 1,
        ("pending", ""): 1,
        ("refused", "stale"): 1,
    }
    assert (totals.calls, totals.accepted, totals.cut_at) == (6, 5, None)
    assert (totals.credited_micro_usd, totals.taken_back_micro_usd) == (20_000_000, 10_000_000)
    paid = totals.types[PAID]
    assert (paid.calls, paid.done, paid.failed, paid.booked_micro_usd) == (3, 2, 1, 20_000_000)
    assert (
        totals.types["invoice.paid"].pending == 1 and totals.types[""].count("webhook.refused") == 1
    )


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        ({}, 9),
        ({"period": "2026"}, 8),
        ({"period": "2026-03"}, 8),
        ({"period": "2026-03-13"}, 1),
        ({"period": "2026-03-15"}, 1),
        ({"period": "2026-03-16"}, 0),
        ({"period": "2026-99-99"}, 9),
        ({"period": "9999"}, 9),
        ({"type": "webhook.refused"}, 1),
        ({"type": "webhook.failed"}, 1),
        ({"type": "webhook.received"}, 8),
        ({"type": "webhook.done", "period": "2026-03-14"}, 3),
        ({"text": "charge.refunded"}, 1),
        ({"text": "payments_away", "period": "2026-03-14"}, 1),
        ({"text": "192.0.2.1", "type": "webhook.done"}, 0),
    ],
)
def test_totals_follow_the_filters_not_the_page(client, finance, week, asked, calls):
    page = client.get(URL, asked | {"before": "1"} if asked else {})
    assert page.status_code == HTTPStatus.OK
    assert page.context["totals"].calls == calls


def test_the_date_drill_down_leads_in_and_out(client, finance, week):
    def titles(**parameters):
        return [title for _, _, title in client.get(URL, parameters).context["parts"]]

    assert titles() == ["2025", "2026"]
    # A level with a single month is skipped.
    assert titles(period="2026") == ["13 March 2026", "14 March 2026", "15 March 2026"]
    assert titles(period="2026-03-14") == []
    page = client.get(URL, {"period": "2026-03-14", "type": "webhook.done"})
    assert page.context["wider"] == (f"{URL}?type=webhook.done&period=2026-03", "March 2026")
    assert len(page.context["rows"]) == 3
    assert 'name="period" value="2026-03-14"' in page.content.decode()
    # The links of the day's first page stay within the day.
    oldest = client.get(f"{URL}{page.context['first_url']}")
    assert [row.time.day for row in oldest.context["rows"]] == [14] * 3
    assert not oldest.context["older_url"]


def test_a_month_ends_before_the_next_one_begins(client, finance, log):
    for day in (datetime(2026, 3, 30, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)):
        call(log, day, PAID, "paid")
    call(log, datetime(2026, 4, 1, tzinfo=UTC), PAID, "paid")
    log.done()
    parts = client.get(URL, {"period": "2026-03"}).context["parts"]
    assert [name for _, name, _ in parts] == ["30", "31"]


def test_the_csv_has_a_row_for_each_call(client, finance, week):
    path = reverse("admin:billing_books_webhooks_csv")
    answer = client.get(path, {"period": "2026-03-14"})
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [row["outcome"] for row in rows] == [
        "done",
        "pending",
        "refused",
        "failed",
        "done",
        "done",
    ]
    assert rows[0]["at"] == "2026-03-14T23:59:59Z" and rows[0]["ended_at"] == "2026-03-15T00:01:59Z"
    assert rows[4]["booked_usd"] == "-10.000000" and rows[2]["address"] == "192.0.2.1"


def test_the_csv_needs_the_export_permission(client, week):
    staff = User.objects.create_user("op@example.org", "x", is_staff=True)
    client.force_login(staff)
    path = reverse("admin:billing_books_webhooks_csv")
    assert client.get(path).status_code == HTTPStatus.FORBIDDEN


@pytest.mark.django_db(transaction=True)
def test_totals_of_real_calls_have_the_amounts_they_booked(
    client, fake_stripe, payer, caller, redis_url
):
    staff = User.objects.create_superuser("staff@example.org", "x")
    client.force_login(staff)
    first, second = ordered(payer), ordered(payer)
    for top_up in (first, second):
        fake_stripe.pay(top_up.session_id)
    top_ups.refresh(second.id)  # The payer's return was quicker than the webhook.
    for event in [e for e in fake_stripe.events if e["type"] == PAID] * 2:
        caller.call(event)
    caller.call(fake_stripe.refund(first.session_id, 1_100))
    caller.post(b"{}", None)
    totals = client.get(URL).context["totals"]
    assert counts(totals) == {("done", "paid"): 5, ("refused", "no_signature"): 1}
    # The payment links to its calls, and they link back.
    first.refresh_from_db()
    page = client.get(URL, {"text": first.payment_intent_id})
    assert page.context["totals"].calls == 3
    top_ups_of_it = f"{reverse('admin:billing_topup_changelist')}?q={first.payment_intent_id}"
    assert f'href="{top_ups_of_it}"' in page.content.decode()
    assert (totals.credited_micro_usd, totals.taken_back_micro_usd) == (20_000_000, 10_000_000)


def test_a_failed_call_is_counted_as_failed(client, finance, redis_url, monkeypatch):
    def away(event):
        raise PaymentsUnavailable

    monkeypatch.setattr(stripe_webhooks, "handle", away)
    event = stripe_webhooks.Event("evt_1", PAID, False, 1, "cs_1", "checkout.session", "", "")
    with pytest.raises(PaymentsUnavailable):
        async_to_sync(stripe_webhooks.receive)(event, b"{}", "192.0.2.1")
    refused = WebhookRefused("no_signature", "The header is missing.")
    async_to_sync(stripe_webhooks.log_refusal)(refused, b"{}", "192.0.2.1")
    totals = client.get(URL).context["totals"]
    assert (totals.count("webhook.failed"), totals.count("webhook.refused")) == (1, 1)


def test_calls_are_read_in_steps_with_bounded_memory(log, monkeypatch):
    """Outcomes whose calls are missing from the log are dropped."""
    for number in range(2_000):
        at = DAY + timedelta(seconds=10 * number)
        log(at, "webhook.done", call=f"lost-{number}", outcome="paid")
        call(log, at, PAID, "paid", booked_micro_usd=1)
    log.done()
    waiting, forget = [], webhook_calls._forget

    def watch(outcomes, entry):
        forget(outcomes, entry)
        waiting.append(len(outcomes))

    monkeypatch.setattr(webhook_calls, "_forget", watch)
    totals = webhook_calls.totals(Span())
    assert (totals.calls, totals.credited_micro_usd, totals.cut_at) == (2_000, 2_000, None)
    # An hour of outcomes, and the next one.
    assert len(waiting) == 6_000 and max(waiting) <= 3_600 / 10 + 2


def test_totals_of_a_long_log_say_since_when_they_count(client, finance, week, monkeypatch):
    monkeypatch.setattr(webhook_calls, "MAX_ENTRIES", 4)
    page = client.get(URL)
    assert page.context["totals"].calls == 2
    assert page.context["totals"].cut_at == DAY + timedelta(hours=5)
    assert b"too many calls" in page.content
    # The CSV has them all.
    answer = client.get(reverse("admin:billing_books_webhooks_csv"))
    assert len(answer.getvalue().splitlines()) == 10
