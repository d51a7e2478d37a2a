"""Today's figures on the first page of the admin."""

import html
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import SecurityEvent, User
from billing import ledger
from billing.models import AuditRun, Usage
from chat.models import Chat, Reply

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.both_databases,
    pytest.mark.usefixtures("redis_url"),
]
NOW = datetime(2026, 11, 20, 0, 30, tzinfo=UTC)
# Ten minutes before midnight in UTC, which is the same day in New York and not in Auckland.
YESTERDAY = NOW - timedelta(minutes=40)
FIGURE = re.compile(r"<dt>(.*?)</dt><dd>(?:<a.*?>)?(.*?)(?:</a>)?</dd>")
# Statements of all sections: guests, sign-ups, usage, ledger, money returned, audit, answers.
STATEMENTS = 7


@pytest.fixture(autouse=True)
def at_half_past_midnight():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def sign_in(client):
    def sign_in(group="", *, superuser=False):
        staff = User.objects.create_user("s@example.org", is_staff=True, is_superuser=superuser)
        staff.groups.set(Group.objects.filter(name=group))
        client.force_login(staff)

    return sign_in


@pytest.fixture
def today(client):
    def today():
        page = client.get("/admin/").content.decode().partition("Recent actions")[0]
        return {name: html.unescape(value) for name, value in FIGURE.findall(page)}

    return today


def make_day(dear, at):
    """Something of everything at `at`."""
    person = User.objects.create(is_guest=True, password="!")
    User.objects.filter(pk=person.pk).update(created_at=at)
    with time_machine.travel(at, tick=False):
        SecurityEvent.objects.create(person_id=uuid.uuid4(), kind="signed_up")
        SecurityEvent.objects.create(person_id=uuid.uuid4(), kind="signed_in")
        ledger.post(person.id, "top_up", 5_000_000, key=f"t:{person.id}")
        chat = Chat.objects.create(id=uuid.uuid4(), owner=person, updated_at=at)
        for state, code in (("done", ""), ("failed", "provider_down"), ("failed", "provider_key")):
            Reply.objects.create(
                id=uuid.uuid4(),
                chat=chat,
                prompt_id=uuid.uuid4(),
                model=dear.model,
                state=state,
                error_code=code,
                finished_at=at,
            )
        for free in ("", "house", "own_key"):
            Usage.objects.create(
                key=f"answer:{uuid.uuid4()}:1",
                person_id=person.id,
                purpose="answer",
                model=dear.model,
                day=at.date(),
                prompt_tokens=1_000,
                completion_tokens=0,
                cost_micro_usd=1_000_000,
                charged_micro_usd=0 if free else 1_000_000,
                free=free,
                price=dear,
            )


def test_a_superuser_sees_today_in_utc_and_nothing_of_yesterday(sign_in, today, dear):
    sign_in(superuser=True)
    assert today()["Last audit"] == "never"
    make_day(dear, NOW)
    make_day(dear, NOW)
    make_day(dear, YESTERDAY)
    AuditRun.objects.create(started_at=NOW, finished_at=YESTERDAY, checked={}, differences=["a"])
    figures = today()
    name = next(name for name in figures if name.startswith("Last audit"))
    assert html.unescape(name) == "Last audit, 40\xa0minutes ago"
    assert figures.pop(name) == "1 difference"
    assert figures == {
        "New guests": "2",
        "Sign-ups": "2",
        "Active people": "2",
        "Calls of models": "6",
        "Cost of calls to us": "$4.00",
        "Spend of credit": "$2.00",
        "Revenue": "$10.00",
        "Margin": "$6.00",
        "Ended": "6",
        "Failed": "4",
        "provider_down": "2",
        "provider_key": "2",
    }


def test_support_sees_use_but_neither_payments_nor_the_audit(sign_in, today, dear):
    sign_in("Support")
    make_day(dear, NOW)
    assert list(today()) == [
        *("New guests", "Sign-ups"),
        *("Active people", "Calls of models", "Cost of calls to us", "Spend of credit"),
    ]


def test_staff_without_permissions_sees_no_figures(sign_in, today, client):
    sign_in()
    assert today() == {}
    assert b"Today, since" not in client.get("/admin/").content


def statements(client):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        client.get("/admin/")
    tables = ("accounts_user", "accounts_securityevent", "billing_", "chat_reply")
    return [
        query["sql"]
        for query in captured
        if any(f'FROM "{table}' in query["sql"] for table in tables)
        and '"accounts_user"."id" =' not in query["sql"]
    ]


def test_the_figures_take_a_fixed_number_of_statements_that_use_indexes(sign_in, client, dear):
    sign_in(superuser=True)
    make_day(dear, NOW)
    few = statements(client)
    for _ in range(3):
        make_day(dear, NOW)
    assert len(statements(client)) == len(few) == STATEMENTS
    if connection.vendor == "sqlite":
        for sql in few:
            with connection.cursor() as cursor:
                plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
            assert not any(step.startswith("SCAN") and "INDEX" not in step for step in plan), plan
