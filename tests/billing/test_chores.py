"""What workers do about money now and then: one of them at a time."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from billing import audit, chores
from billing.models import AuditRun

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def asked_anew(shared_database, redis_url, monkeypatch):
    """As if each call came from another worker, whose time to ask has come."""
    monkeypatch.setattr(chores, "ASK_EVERY_S", 0.0)
    monkeypatch.setattr(chores, "_ask_at", 0.0)
    # The thread of the database lives longer than a test, and its connection with it.
    await sync_to_async(connections.close_all)()
    yield
    await sync_to_async(connections.close_all)()


async def test_of_several_workers_one_audits(asked_anew):
    await asyncio.gather(*(chores.run() for _ in range(5)))
    assert await AuditRun.objects.acount() == 1
    # And nobody again before its time.
    await chores.run()
    assert await AuditRun.objects.acount() == 1


async def test_an_audit_that_was_broken_off_is_made_by_the_next(asked_anew, monkeypatch):
    begun = asyncio.Event()

    async def hang():
        begun.set()
        await asyncio.sleep(600)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "run", hang)
        first = asyncio.create_task(chores.run())
        async with asyncio.timeout(60):
            await begun.wait()
    await chores.run()  # The first is still at it.
    assert not await AuditRun.objects.aexists()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await chores.run()
    found = await AuditRun.objects.aget()
    assert found.is_clean and found.started_at <= timezone.now()
