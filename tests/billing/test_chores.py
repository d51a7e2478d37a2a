"""Chores of billing, which one worker at a time does."""

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
    """Makes each call behave like that of another worker whose interval is over."""
    monkeypatch.setattr(chores, "ASK_EVERY_S", 0.0)
    monkeypatch.setattr(chores, "_ask_at", 0.0)
    # The database thread and its connection outlive a test.
    await sync_to_async(connections.close_all)()
    yield
    await sync_to_async(connections.close_all)()


async def test_one_of_several_workers_audits(asked_anew):
    await asyncio.gather(*(chores.run() for _ in range(5)))
    assert await AuditRun.objects.acount() == 1
    # No worker audits again before it is due.
    await chores.run()
    assert await AuditRun.objects.acount() == 1


async def test_an_interrupted_audit_is_repeated_by_the_next_worker(asked_anew, monkeypatch):
    begun = asyncio.Event()

    async def hang():
        begun.set()
        await asyncio.sleep(600)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "run", hang)
        first = asyncio.create_task(chores.run())
        async with asyncio.timeout(60):
            await begun.wait()
    await chores.run()  # The first worker is still auditing.
    assert not await AuditRun.objects.aexists()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await chores.run()
    run = await AuditRun.objects.aget()
    assert run.is_clean and run.started_at <= timezone.now()
