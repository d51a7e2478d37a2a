"""The chores of billing: only one worker at a time runs each."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from billing import audit, chores
from billing.models import AuditRun

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def database(shared_database, redis_url):
    # The database thread outlives a test, and so does its connection.
    await sync_to_async(connections.close_all)()
    yield
    await sync_to_async(connections.close_all)()


async def run_chores():
    """Run the chores like a worker whose intervals have passed."""
    for chore in chores.chores():
        await chore.run()


async def test_one_of_several_workers_audits(database):
    await asyncio.gather(*(run_chores() for _ in range(5)))
    assert await AuditRun.objects.acount() == 1
    # Not repeated before the interval has passed.
    await run_chores()
    assert await AuditRun.objects.acount() == 1


async def test_another_worker_repeats_an_audit_that_was_cancelled(database, monkeypatch):
    started = asyncio.Event()

    async def hang():
        started.set()
        await asyncio.sleep(600)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "run", hang)
        first = asyncio.create_task(run_chores())
        async with asyncio.timeout(60):
            await started.wait()
    await run_chores()  # The first is still running.
    assert not await AuditRun.objects.aexists()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await run_chores()
    audit_run = await AuditRun.objects.aget()
    assert audit_run.is_clean and audit_run.started_at <= timezone.now()
