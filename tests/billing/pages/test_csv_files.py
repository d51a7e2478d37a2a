"""CSV downloads of any length are streamed in chunks."""

import re
import uuid
from datetime import UTC, datetime

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection
from django.test import AsyncRequestFactory
from django.urls import reverse

from accounts.models import User
from billing.admin import lists as admin_lists
from billing.models import Purse, Usage
from billing.pages import views
from billing.pages.csv_files import CHUNK_CHARS
from billing.pages.usage_views import usage_csv

pytestmark = pytest.mark.both_databases

ROWS = 50_000


@pytest.fixture
def many(transactional_db):
    """A person with 50,000 calls."""
    person = User.objects.create_user("alice@example.org", "x")
    first = Usage.objects.create(
        key="answer:0:1",
        person_id=person.id,
        purpose="answer",
        model="my/own",
        day=datetime.now(UTC).date(),
        prompt_tokens=1_234,
        completion_tokens=1,
        cost_micro_usd=0,
        charged_micro_usd=0,
        free="own_key",
    )
    names = [
        field.column for field in Usage._meta.concrete_fields if field.name not in ("id", "key")
    ]
    columns = ", ".join(names)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %s - 1)"
            f" INSERT INTO billing_usage (key, {columns})"
            f" SELECT 'answer:' || n || ':1', {columns} FROM n, billing_usage WHERE key = %s",
            [ROWS, first.key],
        )
    return person


class Fetched(list[int]):
    """The LIMIT of each query for a part of the file."""

    def __call__(self, execute, sql, params, many, context):
        if limit := re.search(r"FROM .?billing_usage\b.* LIMIT (\d+)$", sql, re.DOTALL):
            self.append(int(limit.group(1)))
        return execute(sql, params, many, context)


@pytest.fixture
async def fetched():
    """The LIMITs of the queries made in the thread in which views run."""
    seen = Fetched()
    await sync_to_async(lambda: connection.execute_wrappers.append(seen))()
    yield seen
    await sync_to_async(lambda: connection.execute_wrappers.remove(seen))()


async def test_an_admin_list_of_50_000_rows_is_streamed(many, async_client, fetched):
    await async_client.aforce_login(await sync_to_async(finance)())
    response = await async_client.get(reverse("admin:billing_usage_csv"))
    await check(response, fetched, admin_lists.CSV_CHUNK_ROWS)


async def test_a_persons_50_000_calls_are_streamed(many, fetched):
    request = AsyncRequestFactory().get("/billing/usage.csv?by=call")
    request.user = many
    await check(await sync_to_async(usage_csv)(request), fetched, views.CSV_BATCH)


async def check(response, fetched, batch):
    """When a chunk arrives, no more rows have been read than it needs."""
    assert len(fetched) * batch <= 2_000
    lines = behind = 0
    async for chunk in response:
        assert len(chunk) < 2 * CHUNK_CHARS
        lines += chunk.count(b"\r\n")
        behind = max(behind, len(fetched) * batch - lines)
    response.close()
    assert lines == ROWS + 1
    assert set(fetched) == {batch} and len(fetched) >= ROWS // batch
    assert behind <= 2_000


@pytest.mark.django_db
def test_chunks_join_without_losing_or_repeating_a_row(client, monkeypatch):
    """Also for rows with the same time."""
    monkeypatch.setattr(admin_lists, "CSV_CHUNK_ROWS", 3)
    ids = [uuid.uuid4() for _ in range(10)]
    Purse.objects.bulk_create([Purse(person_id=person_id) for person_id in ids])
    Purse.objects.update(created_at=datetime(2026, 2, 28, tzinfo=UTC))
    client.force_login(finance())
    for query in ("", "?o=1", "?o=-2.3"):
        answer = client.get(reverse("admin:billing_purse_csv") + query)
        rows = [line.split(",")[0] for line in answer.getvalue().decode().splitlines()[1:]]
        assert len(rows) == len(set(rows)) == Purse.objects.count() >= len(ids)


def finance():
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    staff.groups.add(Group.objects.get(name="Finance"))
    return staff
