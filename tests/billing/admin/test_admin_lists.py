"""Billing's lists in the admin: search, links, days, queries and downloads."""

import csv
import io
import uuid
from datetime import UTC, datetime
from http import HTTPStatus

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import GuestJoin, User
from billing import holds, ledger
from billing.models import Hold, LedgerEntry, TopUp, Usage
from billing.token_usage import TokenUsage
from tests.billing.admin.admin_pages import url

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
LISTS = ("purse", "ledgerentry", "hold", "usage", "topup", "price", "auditrun")
CHAT, REPLY = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def alice():
    return User.objects.create_user("alice@example.org", "x")


@pytest.fixture
def paid(alice, dear):
    """One row in each table for one person, and one for another person."""
    bob = User.objects.create_user("bob@example.org", "x")
    for person, chat, reply in ((alice, CHAT, REPLY), (bob, uuid.uuid4(), uuid.uuid4())):
        top_up = TopUp.objects.create(
            person_id=person.id,
            credit_cents=2_000,
            fee_cents=200,
            total_cents=2_200,
            state="paid",
            paid_at=timezone.now(),
            expires_at=timezone.now(),
            session_id=f"cs_test_{person.email[:3]}",
            payment_intent_id=f"pi_{person.email[:3]}",
            charge_id=f"ch_{person.email[:3]}",
        )
        name = f"top-up:{top_up.id}"
        ledger.post(person.id, "top_up", 22_000_000, key=name, top_up_id=top_up.id)
        call = holds.Call(
            holds.answer_key(reply),
            f"answer:{reply}:1",
            "answer",
            person.id,
            dear.model,
            chat,
            reply,
            1,
        )
        holds.reserve(person, call, dear, 1_000, 500)
        holds.charge(call, TokenUsage(1_000, 234), last=True)
    return TopUp.objects.get(person_id=alice.id)


def search(client, name, query):
    return list(client.get(url(f"{name}_changelist"), {"q": query}).context["cl"].queryset)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("ALICE@", {"purse": 1, "ledgerentry": 2, "hold": 1, "usage": 1, "topup": 1}),
        ("person", {"purse": 1, "ledgerentry": 2, "hold": 1, "usage": 1, "topup": 1}),
        ("person.hex", {"purse": 1, "ledgerentry": 2, "hold": 1, "usage": 1, "topup": 1}),
        ("chat", {"ledgerentry": 1, "hold": 1, "usage": 1}),
        ("answer", {"ledgerentry": 1, "hold": 1, "usage": 1}),
        ("top-up", {"ledgerentry": 1, "topup": 1}),
        ("cs_test_ali", {"purse": 1, "ledgerentry": 1, "topup": 1}),
        ("pi_ali", {"purse": 1, "ledgerentry": 1, "topup": 1}),
        ("ch_ali", {"purse": 1, "ledgerentry": 1, "topup": 1}),
        ("pi_nobody", {"purse": 0, "ledgerentry": 0, "topup": 0}),
        ("alice@ bob@", {"purse": 0, "ledgerentry": 0, "usage": 0}),
        ('"', {"hold": 2, "ledgerentry": 4}),
        ("%", {"purse": 0, "usage": 0}),
    ],
)
def test_rows_are_found_by_any_search_term(client, finance, alice, paid, query, numbers):
    known = {
        "person": str(alice.id),
        "person.hex": alice.id.hex,
        "chat": str(CHAT),
        "answer": str(REPLY),
        "top-up": str(paid.id),
    }
    for name, number in numbers.items():
        rows = search(client, name, known.get(query, query))
        assert len(rows) == number, name


def test_rows_of_the_former_guest_are_found_with_the_account(client, finance, alice):
    guest = uuid.uuid4()
    ledger.post(guest, "guest_budget", 500_000, key="a")
    GuestJoin.objects.create(guest_id=guest, account=alice)
    for query in ("alice@", str(alice.id)):
        assert [row.purse_id for row in search(client, "ledgerentry", query)] == [guest]


def test_lists_link_people_to_answers_and_payments_to_the_ledger(client, finance, alice, paid):
    def links(name, query):
        page = client.get(url(f"{name}_changelist"), {"q": query}).content.decode()
        return lambda other, wanted: f'{url(f"{other}_changelist")}?q={wanted}"' in page, page

    has, page = links("purse", alice.id)
    for other in ("ledgerentry", "usage", "hold", "topup"):
        assert has(other, alice.id)
    assert reverse("admin:accounts_user_change", args=[alice.id]) in page
    has, _ = links("ledgerentry", alice.id)
    assert has("usage", REPLY) and has("topup", paid.id) and has("purse", alice.id)
    has, _ = links("usage", alice.id)
    assert has("ledgerentry", REPLY) and has("usage", CHAT)
    has, page = links("topup", alice.id)
    assert has("ledgerentry", paid.id)
    assert f'{url("books_webhooks")}?text=pi_ali"' in page


def test_support_sees_no_links_to_forbidden_pages(client, alice, paid):
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    staff.groups.add(Group.objects.get(name="Support"))
    client.force_login(staff)
    page = client.get(url("topup_changelist")).content.decode()
    assert "webhook" not in page and url("ledgerentry_changelist") in page


# Days


def test_lists_use_utc_days_in_any_time_zone(client, finance, alice):
    """In Auckland the next day has begun."""
    with time_machine.travel(datetime(2026, 3, 14, 20, tzinfo=UTC), tick=False):
        ledger.post(alice.id, "adjustment", 5, key="a", reason="Sorry")
    with time_machine.travel(datetime(2026, 3, 15, 20, tzinfo=UTC), tick=False):
        ledger.post(alice.id, "adjustment", 6, key="b", reason="Sorry")
    day = {"at__year": "2026", "at__month": "3", "at__day": "14"}
    page = client.get(url("ledgerentry_changelist"), day)
    assert [row.key for row in page.context["cl"].queryset] == ["a"]
    assert "2026-03-14 20:00" in page.content.decode()
    answer = client.get(url("ledgerentry_csv"), day)
    assert [row["at"] for row in rows_of(answer)] == ["2026-03-14T20:00:00Z"]
    detail = client.get(url("ledgerentry_change", LedgerEntry.objects.get(key="a").pk))
    assert "14 March 2026, 20:00" in detail.content.decode()


def test_the_date_drill_down_spans_the_first_to_the_last_row(client, finance, alice):
    for day in ((2025, 12, 30), (2025, 12, 31), (2026, 1, 31), (2026, 2, 2)):
        with time_machine.travel(datetime(*day, 23, tzinfo=UTC), tick=False):
            ledger.post(alice.id, "adjustment", 5, key=str(day), reason="Sorry")

    def dates(**parameters):
        page = client.get(url("ledgerentry_changelist"), {"kind": "adjustment"} | parameters)
        return [title for _, _, title in page.context["parts"]], page.context["back"]

    assert dates() == (["2025", "2026"], None)
    year = {"at__year": 2026}
    assert dates(**year)[0] == ["January 2026", "February 2026"]
    assert dates(at__year=2025)[0] == ["30 December 2025", "31 December 2025"]
    titles, back = dates(**year, at__month=2)
    assert titles == ["2 February 2026"]
    assert back == ("?at__year=2026&kind=adjustment", "2026")
    assert dates(**year, at__month=2, at__day=2)[0] == []
    assert dates(kind="charge") == ([], None)


@pytest.mark.parametrize("name", ["ledgerentry", "usage", "hold"])
def test_no_list_calls_python_for_each_row(client, finance, alice, paid, name):
    """SQLite's date functions are Python calls, which block everything else when rows are many."""
    with CaptureQueriesContext(connection) as queries:
        client.get(url(f"{name}_changelist"), {"q": "alice"})
    statements = [
        query["sql"].lower()
        for query in queries
        if f'from "billing_{name}"' in query["sql"].lower()
    ]
    assert statements and not [
        sql for sql in statements if "trunc" in sql or "cast" in sql.split("where")[0]
    ]
    # The page, its count, its totals, and its first and last date.
    assert len(statements) <= 7


# Hostile input


HOSTILE = (
    "at__year=9999&at__month=12&at__day=31",
    "created_at__year=9999&created_at__month=12&created_at__day=31",
    "at__year=x",
    "at__month=2",
    "at__day=31&at__month=2&at__year=2026",
    "created_at__gte=yesterday",
    "person_id__exact=nobody",
    "purse__exact=nobody",
    "o=99.x.-1",
    "p=-1",
    "p=x",
    "q=%00",
    "q=%22",
    "q=" + "a+" * 1_500,
    "e=1",
    "email__startswith=a",
    "purse__ledger__reason__startswith=a",
    "all=",
)


@pytest.mark.parametrize("name", LISTS)
def test_hostile_query_strings_break_no_list_or_download(client, finance, alice, paid, name):
    pages = [f"{name}_changelist"] + ([f"{name}_csv"] if name != "auditrun" else [])
    for query in HOSTILE:
        for page in pages:
            answer = client.get(f"{url(page)}?{query}", follow=True)
            assert answer.status_code in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST), (page, query)


# Downloads


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))


def test_downloads_have_all_amounts_in_dollars(client, finance, alice, paid):
    rows = {name: rows_of(client.get(url(f"{name}_csv"), {"q": "alice"})) for name in LISTS[:5]}
    assert rows["ledgerentry"][0]["amount_usd"] == "-0.001234"
    assert rows["ledgerentry"][0]["price_model"] == "openrouter/dear"
    assert rows["purse"][0]["balance_usd"] == "21.998766"
    assert rows["usage"][0]["cost_usd"] == rows["usage"][0]["charged_usd"] == "0.001234"
    assert (
        rows["hold"][0]["charged_usd"] == "0.001234" and rows["hold"][0]["amount_usd"] == "0.000000"
    )
    assert (
        rows["topup"][0]["total_usd"] == "22.000000" and rows["topup"][0]["fee_usd"] == "2.000000"
    )
    assert Hold.objects.count() == Usage.objects.count() == 2


def test_a_rows_page_shows_exact_amounts(client, finance, alice, paid):
    charge = LedgerEntry.objects.get(kind="charge", purse_id=alice.id)
    page = client.get(url("ledgerentry_change", charge.pk)).content.decode()
    assert "$-0.001234" in page or "−$0.001234" in page
    assert "$22.000000" in client.get(url("topup_change", paid.pk)).content.decode()
