"""Billing in the admin: permissions, staff actions, prices and reports."""

import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.admin.staff import StaffActionRefused, adjust, given_lately_micro_usd, refund
from billing.models import AuditRun, Hold, LedgerEntry, Price, Purse, Usage
from billing.payments import top_up_audit, top_ups
from billing.payments.stripe_errors import PaymentsUnavailable
from billing.prices import versions as prices
from billing.prices.versions import Rates
from tests.billing.admin.admin_pages import post_act, url
from tests.billing.stripe_fixtures import ordered, posted, run_at_once

pytestmark = pytest.mark.django_db
LISTS = ("purse", "ledgerentry", "hold", "usage", "topup", "price", "auditrun")
PAGES = ("books_changelist", "books_balance", "books_webhooks")


@pytest.fixture
def alice():
    person = User.objects.create_user("alice@example.org", "x")
    ledger.post(person.id, "top_up", 22_000_000, key="t1")
    ledger.post(person.id, "fee", -2_000_000, key="t1:fee")
    return person


@pytest.fixture
def sign_in(client):
    def sign_in(group=None, **fields):
        staff = User.objects.create_user("staff@example.org", "x", is_staff=True, **fields)
        if group:
            staff.groups.add(Group.objects.get(name=group))
        client.force_login(staff)
        return staff

    return sign_in


@pytest.fixture
def calls(alice, dear):
    def call(number, day, *, model="openrouter/dear", person=alice.id, free="", cost=0):
        return Usage.objects.create(
            key=f"answer:{number}:1",
            person_id=person,
            purpose="answer",
            model=model,
            day=day,
            prompt_tokens=100,
            completion_tokens=10,
            cost_micro_usd=cost,
            charged_micro_usd=0 if free else cost,
            free=free,
            price=None if free else dear,
        )

    return call


@pytest.mark.parametrize("name", LISTS)
def test_finance_opens_every_list_and_edits_nothing(client, sign_in, alice, calls, name):
    sign_in("Finance")
    calls(1, timezone.now().date(), cost=5)
    price = Price.objects.get()
    Hold.objects.create(
        key="answer:1", purse_id=alice.id, amount_micro_usd=7, model="a", price=price
    )
    AuditRun.objects.create(
        started_at=timezone.now(), finished_at=timezone.now(), checked={"purses": 1}, differences=[]
    )
    response = client.get(url(f"{name}_changelist"), {"q": "alice"} if name == "purse" else {})
    assert response.status_code == HTTPStatus.OK
    row = response.context["cl"].queryset.first()
    if row is not None:
        page = client.get(url(f"{name}_change", row.pk))
        assert page.status_code == HTTPStatus.OK and b'name="_save"' not in page.content
        assert client.post(url(f"{name}_change", row.pk), {}).status_code == HTTPStatus.FORBIDDEN
        assert client.post(url(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("name", [f"{name}_changelist" for name in LISTS] + list(PAGES))
def test_staff_without_a_group_sees_nothing(client, sign_in, name):
    sign_in()
    assert client.get(url(name)).status_code == HTTPStatus.FORBIDDEN


def test_support_sees_lists_but_neither_reports_nor_downloads(client, sign_in, alice):
    sign_in("Support")
    page = client.get(url("ledgerentry_changelist"))
    assert page.status_code == HTTPStatus.OK and b"as CSV" not in page.content
    for name in (*PAGES, "ledgerentry_csv", "books_csv"):
        assert client.get(url(name)).status_code == HTTPStatus.FORBIDDEN


def test_a_list_has_totals_search_and_a_download(client, sign_in, alice):
    other = User.objects.create_user("bob@example.org", "x")
    ledger.post(other.id, "top_up", 5_000_000, key="t2", reason="=HYPERLINK(1)")
    sign_in("Finance")
    path = url("ledgerentry_changelist")
    assert b"<b>$25.00</b>" in client.get(path).content
    assert b"<b>$20.00</b>" in client.get(path, {"q": "alice@"}).content
    answer = client.get(url("ledgerentry_csv"), {"q": "bob@"})
    header, row = answer.getvalue().decode("utf-8-sig").splitlines()
    assert header.startswith("at,purse_id,email") and "bob@example.org" in row
    assert "'=HYPERLINK(1)" in row and ",5.000000," in row


# Giving and taking


def test_credit_is_given_once_after_a_reason_and_a_confirmation(client, sign_in, alice):
    staff = sign_in("Finance")
    purse = Purse.objects.get(person_id=alice.id)
    path, act = url("purse_changelist"), str(uuid.uuid4())
    first = client.post(path, {"action": "change_credit", "_selected_action": [str(purse.pk)]})
    assert b"alice@example.org<small>" in first.content and b">$20.00</td>" in first.content
    fields = {"act": act, "amount": "-2.50", "reason": "Paid twice"}
    look = post_act(client, path, "change_credit", [purse], **fields)
    assert b"yes, do it" in look.content and "−$2.50" in look.content.decode()
    assert LedgerEntry.objects.filter(kind="adjustment").count() == 0
    for _ in range(2):
        post_act(client, path, "change_credit", [purse], **fields, confirmed="yes")
    entry = LedgerEntry.objects.get(kind="adjustment")
    assert (entry.amount_micro_usd, entry.reason, entry.staff_id) == (
        -2_500_000,
        "Paid twice",
        staff.id,
    )
    assert ledger.balance(alice.id).balance_micro_usd == 17_500_000


@pytest.mark.parametrize("amount", ["-1", "0", "20.01", "1e9", "NaN", "", "five"])
def test_support_cannot_exceed_its_limit_or_take_credit(client, sign_in, alice, amount):
    sign_in("Support")
    purse = Purse.objects.get(person_id=alice.id)
    fields = {"act": str(uuid.uuid4()), "amount": amount, "reason": "Sorry", "confirmed": "yes"}
    page = post_act(client, url("purse_changelist"), "change_credit", [purse], **fields)
    assert b"errorlist" in page.content
    assert not LedgerEntry.objects.filter(kind="adjustment").exists()


def test_support_gives_up_to_its_limit(client, sign_in, alice):
    sign_in("Support")
    purse = Purse.objects.get(person_id=alice.id)
    fields = {"act": str(uuid.uuid4()), "amount": "20", "reason": "Sorry", "confirmed": "yes"}
    post_act(client, url("purse_changelist"), "change_credit", [purse], **fields)
    assert ledger.balance(alice.id).balance_micro_usd == 40_000_000


def test_support_cannot_exceed_its_daily_limit(client, sign_in, alice, settings):
    staff = sign_in("Support")
    settings.STAFF_GIVES_A_DAY_MICRO_USD = 30_000_000
    purse = Purse.objects.get(person_id=alice.id)
    fields = {"amount": "20", "reason": "Sorry", "confirmed": "yes"}
    act = str(uuid.uuid4())
    for again in (act, act, str(uuid.uuid4())):
        post_act(client, url("purse_changelist"), "change_credit", [purse], act=again, **fields)
    assert ledger.balance(alice.id).balance_micro_usd == 40_000_000
    assert "$10.00 of that is left" in client.get(url("purse_changelist")).content.decode()
    assert given_lately_micro_usd(staff.id) == 20_000_000
    with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1)):
        act = str(uuid.uuid4())
        post_act(client, url("purse_changelist"), "change_credit", [purse], act=act, **fields)
    assert ledger.balance(alice.id).balance_micro_usd == 60_000_000


@pytest.mark.django_db(transaction=True)
def test_concurrent_actions_respect_the_daily_limit(shared_database, settings):
    settings.STAFF_GIVES_A_DAY_MICRO_USD = 50_000_000
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    people = [User.objects.create_user(f"{n}@example.org", "x").id for n in range(8)]

    def give(person_id):
        adjust(
            person_id,
            20_000_000,
            action_id=uuid.uuid4(),
            reason="Sorry",
            staff_id=staff.id,
            limited=True,
        )

    results = run_at_once(*(partial(give, person_id) for person_id in people))
    assert [type(error) for error in results if error] == [StaffActionRefused] * 6
    assert given_lately_micro_usd(staff.id) == 40_000_000


def test_an_action_needs_a_reason(client, sign_in, alice):
    sign_in("Finance")
    purse = Purse.objects.get(person_id=alice.id)
    fields = {"act": str(uuid.uuid4()), "amount": "1", "reason": "  ", "confirmed": "yes"}
    page = post_act(client, url("purse_changelist"), "change_credit", [purse], **fields)
    assert b"errorlist" in page.content
    assert not LedgerEntry.objects.filter(kind="adjustment").exists()


def test_staff_with_view_permissions_has_no_actions(client, sign_in, alice):
    staff = sign_in()
    from django.contrib.auth.models import Permission

    staff.user_permissions.add(Permission.objects.get(codename="view_purse"))
    purse = Purse.objects.get(person_id=alice.id)
    assert b"change_credit" not in client.get(url("purse_changelist")).content
    fields = {"act": str(uuid.uuid4()), "amount": "1", "reason": "Mine", "confirmed": "yes"}
    post_act(client, url("purse_changelist"), "change_credit", [purse], **fields)
    assert not LedgerEntry.objects.filter(kind="adjustment").exists()


def test_a_form_resent_with_another_amount_is_refused(client, sign_in, alice):
    sign_in("Finance")
    purse = Purse.objects.get(person_id=alice.id)
    fields = {"act": str(uuid.uuid4()), "reason": "Sorry", "confirmed": "yes"}
    post_act(client, url("purse_changelist"), "change_credit", [purse], amount="1", **fields)
    post_act(client, url("purse_changelist"), "change_credit", [purse], amount="2", **fields)
    assert b"with another amount" in client.get(url("purse_changelist")).content
    assert ledger.balance(alice.id).balance_micro_usd == 21_000_000


def test_the_ledger_names_the_member_of_staff(client, sign_in, alice):
    staff = sign_in("Finance")
    kept = {"reason": "Sorry", "staff_id": staff.id}
    ledger.post(alice.id, "adjustment", 5, key="a", **kept)
    assert (
        b"staff@example.org"
        in client.get(url("ledgerentry_changelist") + "?kind=adjustment").content
    )
    page = client.get(url("ledgerentry_changelist") + "?q=staff@example.org")
    assert page.context["cl"].result_count == 1


# Refunds


@pytest.mark.django_db(transaction=True)
def test_a_payment_is_refunded_once_and_its_credit_is_taken_back(
    client, sign_in, fake_stripe, payer
):
    staff = sign_in("Finance")
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_up = top_ups.refresh(top_up.id)
    fields = {
        "act": str(uuid.uuid4()),
        "amount": "11.00",
        "reason": "Asked for",
        "confirmed": "yes",
    }
    for _ in range(2):
        post_act(client, url("topup_changelist"), "refund", [top_up], **fields)
    top_up.refresh_from_db()
    assert top_up.refunded_cents == 1_100
    assert posted(top_up) == {"top_up": 22_000_000, "fee": -2_000_000, "refund": -10_000_000}
    assert len(fake_stripe.refunds) == 1
    entry = LedgerEntry.objects.get(kind="refund")
    assert (entry.reason, entry.staff_id) == ("Asked for", staff.id)
    assert b"staff@example.org" in client.get(url("ledgerentry_changelist")).content
    fields |= {"act": str(uuid.uuid4()), "amount": "11.01"}
    page = post_act(client, url("topup_changelist"), "refund", [top_up], **fields)
    assert b"errorlist" in page.content and len(fake_stripe.refunds) == 1


@pytest.mark.django_db(transaction=True)
def test_refunds_at_stripe_count_before_staff_refunds_more(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_up = top_ups.refresh(top_up.id)
    fake_stripe.refund(top_up.session_id, 2_000)
    with pytest.raises(StaffActionRefused, match="more than is left"):
        action_id, by = uuid.uuid4(), uuid.uuid4()
        refund(top_up, 1_100, action_id=action_id, reason="Asked for", staff_id=by)
    assert len(fake_stripe.refunds) == 1
    assert posted(top_up)["refund"] == -top_up.share_micro_usd(2_000)


@pytest.mark.django_db(transaction=True)
def test_a_refund_without_an_answer_is_reported_as_possibly_made(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_up = top_ups.refresh(top_up.id)
    fake_stripe.mute_at = {"/v1/refunds"}
    with pytest.raises(PaymentsUnavailable, match="may have made the refund"):
        action_id, by = uuid.uuid4(), uuid.uuid4()
        refund(top_up, 1_100, action_id=action_id, reason="Asked for", staff_id=by)
    # The library retries the request, and the refund is made once.
    assert [made["amount"] for made in fake_stripe.refunds.values()] == [1_100]


@pytest.mark.django_db(transaction=True)
def test_refunds_found_together_keep_their_reasons(client, sign_in, fake_stripe, payer):
    """Two refunds by staff and one at Stripe get an entry each, and the sum is right."""
    staff = sign_in("Finance")
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_ups.refresh(top_up.id)
    for cents, reason in ((333, "First"), (None, ""), (1, "Second")):
        note = {"staff": str(staff.id), "reason": reason} if cents else {}
        fake_stripe.refund(top_up.session_id, cents or 700, note)
    for _ in range(2):
        top_up = top_ups.refresh(top_up.id)
    rows = LedgerEntry.objects.filter(kind="refund").order_by("number")
    assert [(row.reason, row.staff_id) for row in rows] == [
        ("First", staff.id),
        ("Second", staff.id),
        ("", None),
    ]
    assert top_up.refunded_cents == 1_034
    assert sum(row.amount_micro_usd for row in rows) == -top_up.share_micro_usd(1_034)
    assert list(top_up_audit.differences()) == []
    fake_stripe.fail_refund(top_up.session_id)
    top_ups.refresh(top_up.id)
    assert list(top_up_audit.differences()) == []


def test_support_cannot_refund(client, sign_in, settings):
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    sign_in("Support")
    assert b"refund" not in client.get(url("topup_changelist")).content


# Prices


def test_staff_sets_a_new_version_of_a_price(client, sign_in, calls):
    staff = sign_in("Finance")
    old = Price.objects.get()
    body = {"model": old.model, "input_micro_usd": "200000", "output_micro_usd": "3000000"}
    client.post(url("price_add"), body | {"per_request_micro_usd": "0"})
    new = Price.objects.get(version=2)
    assert (new.model, new.input_micro_usd, new.staff_id) == (old.model, 200_000, staff.id)
    old.refresh_from_db()
    assert old.input_micro_usd == 1_000_000


def test_a_large_price_change_needs_a_confirmation(client, sign_in, calls):
    sign_in("Finance")
    body = {"model": "openrouter/dear", "input_micro_usd": "2", "output_micro_usd": "1000000"}
    body |= {"per_request_micro_usd": "0"}
    page = client.post(url("price_add"), body)
    assert b"It is $1.00 now and would be $0.000002." in page.content
    assert Price.objects.count() == 1
    page = client.post(url("price_add"), body | {"is_certain": "on"}, follow=True)
    assert b"costs $0.000002 per million tokens read and $1.00 per million" in page.content
    assert Price.objects.get(version=2).input_micro_usd == 2
    assert "$1.00 → $0.000002" in client.get(url("price_changelist")).content.decode()
    page = client.get(url("price_change", Price.objects.get(version=2).pk))
    assert page.status_code == HTTPStatus.OK and b"large change" not in page.content


@pytest.mark.parametrize("rate", ["-1", "9999999999999", "", "1.5"])
def test_an_invalid_price_is_refused(client, sign_in, rate):
    sign_in("Finance")
    body = {"model": "a", "input_micro_usd": rate, "output_micro_usd": "3"}
    page = client.post(url("price_add"), body | {"per_request_micro_usd": "0"})
    assert b"errorlist" in page.content and not Price.objects.exists()


@pytest.mark.parametrize(
    ("name", "rate"),
    [("input_micro_usd", 10**10 + 1), ("per_request_micro_usd", 10**8 + 1)],
)
def test_an_absurd_price_is_refused_with_an_error(client, sign_in, name, rate):
    sign_in("Finance")
    body = {"model": "a", "input_micro_usd": 1, "output_micro_usd": 3, "per_request_micro_usd": 0}
    page = client.post(url("price_add"), body | {name: rate})
    assert b"errorlist" in page.content and not Price.objects.exists()


def test_staff_returns_a_price_to_the_lists(client, sign_in, alice):
    staff = sign_in("Finance")
    prices.offer("openrouter/a", Rates(1, 2), "openrouter")
    mine = prices.set_by_staff("openrouter/a", Rates(9, 9), staff.id)
    body = {"action": "follow_lists", "_selected_action": [mine.pk]}
    for _ in range(2):
        client.post(url("price_changelist"), body)
    price = prices.current("openrouter/a")
    assert (price.version, price.source, price.output_micro_usd) == (3, "openrouter", 2)


def test_support_cannot_set_prices(client, sign_in, alice):
    staff = sign_in("Support")
    prices.offer("openrouter/a", Rates(1, 2), "openrouter")
    mine = prices.set_by_staff("openrouter/a", Rates(9, 9), staff.id)
    client.post(url("price_changelist"), {"action": "follow_lists", "_selected_action": [mine.pk]})
    assert client.get(url("price_add")).status_code == HTTPStatus.FORBIDDEN
    assert prices.current("openrouter/a") == mine


# Reports


def test_the_report_adds_up(client, sign_in, alice, calls):
    sign_in("Finance")
    today = datetime.now(UTC).date()
    calls(1, today, cost=1_500_000)
    calls(2, today, model="my/own", free="own_key", cost=900_000)
    calls(3, today, person=uuid.uuid4(), cost=500_000)
    page = client.get(url("books_changelist"), {"first": str(today), "last": str(today)})
    total = page.context["report"].total
    assert (total.revenue, total.fees, total.spend, total.cost) == (
        22_000_000,
        2_000_000,
        2_000_000,
        2_000_000,
    )
    assert (total.margin, total.calls, total.people, total.tokens) == (20_000_000, 3, 2, 330)
    assert {row.model: row.cost for row, _ in page.context["models"]} == {
        "openrouter/dear": 2_000_000,
        "my/own": 0,
    }
    csv = client.get(url("books_csv"), {"first": str(today), "last": str(today)})
    lines = csv.getvalue().decode("utf-8-sig").splitlines()
    assert lines[1].startswith(
        f"{today},22.000000,2.000000,0.000000,2.000000,2.000000,0.000000,20.0"
    )


@pytest.mark.parametrize(
    ("first", "last"), [("2026-02-02", "2026-02-01"), ("2020-01-01", "2026-01-01"), ("x", "y")]
)
def test_an_invalid_range_shows_an_error(client, sign_in, first, last):
    sign_in("Finance")
    page = client.get(url("books_changelist"), {"first": first, "last": last})
    assert b"errorlist" in page.content and "report" not in page.context


def test_the_balance_page_shows_the_last_audit(client, sign_in, alice):
    sign_in("Finance")
    path = url("books_balance")
    assert b"never audited" in client.get(path).content
    now = timezone.now()
    AuditRun.objects.create(started_at=now, finished_at=now, checked={"purses": 1}, differences=[])
    assert b"The books balance" in client.get(path).content
    AuditRun.objects.create(
        started_at=now, finished_at=timezone.now(), checked={}, differences=["alice: 1 <b>"]
    )
    page = client.get(path).content
    assert b"1 difference" in page and b"alice: 1 &lt;b&gt;" in page


def test_the_list_of_people_shows_credit_and_spend(client, sign_in, alice, calls):
    calls(1, timezone.now().date(), cost=1_230_000)
    sign_in("Finance")
    page = client.get(reverse("admin:accounts_user_changelist")).content
    assert b">$20.00</a>" in page and b"$1.23" in page
