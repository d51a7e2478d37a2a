import asyncio
import os
import random
import signal
import subprocess
import sys

import pytest

from streams.lock import run_exclusively
from tests.stack import BASE_DIR
from tests.streams.acts import PATIENCE_S, until

pytestmark = pytest.mark.usefixtures("server")


class Work:
    """Counts its runs, also those at the same time; each lasts until `end` is set."""

    def __init__(self):
        self.started = self.running = self.most_running = self.cancelled = 0
        self.end = asyncio.Event()

    async def __call__(self):
        self.started += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


async def until_started(work):
    async def has_started():
        return work.started > 0

    await until(has_started, "the work starts")


async def test_one_of_ten_runs_and_the_others_return_at_once():
    work = Work()
    first = asyncio.create_task(run_exclusively("chore", work))
    await until_started(work)
    assert await asyncio.gather(*(run_exclusively("chore", work) for _ in range(9))) == [False] * 9
    # Another name is another lock.
    other = Work()
    other.end.set()
    assert await run_exclusively("other", other)
    work.end.set()
    assert await first
    assert (work.started, work.most_running) == (1, 1)
    assert await run_exclusively("chore", work)


async def test_the_lock_is_held_as_long_as_the_work_lasts():
    work = Work()
    first = asyncio.create_task(run_exclusively("chore", work, lease_ms=300))
    await until_started(work)
    for _ in range(8):
        await asyncio.sleep(0.1)
        assert not await run_exclusively("chore", work, lease_ms=300)
    work.end.set()
    assert await first


async def test_an_error_releases_the_lock():
    async def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await run_exclusively("chore", fail)
    work = Work()
    work.end.set()
    assert await run_exclusively("chore", work)


async def test_a_cancellation_releases_the_lock():
    work = Work()
    first = asyncio.create_task(run_exclusively("chore", work))
    await until_started(work)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.end.set()
    assert work.cancelled == 1 and await run_exclusively("chore", work)


async def test_work_that_lost_its_lock_is_cancelled(server):
    work = Work()
    first = asyncio.create_task(run_exclusively("chore", work, lease_ms=300))
    await until_started(work)
    with server.client() as client:
        [key] = client.keys("*{turn:chore}")
        client.set(key, "somebody else")
    assert await asyncio.wait_for(first, PATIENCE_S) is False
    assert work.cancelled == 1
    # The loser does not release its successor's lock.
    with server.client() as client:
        assert client.get(key) == b"somebody else"


HOLDER = """
import asyncio, sys
from django.conf import settings
settings.configure(REDIS_URL=sys.argv[1], STREAMS_PREFIX=sys.argv[2])
from streams.lock import run_exclusively
async def work():
    print("started", flush=True)
    await asyncio.sleep(600)
asyncio.run(run_exclusively("chore", work, lease_ms=1_500))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_lock_of_a_killed_or_frozen_holder_expires(number, server, settings):
    command = [sys.executable, "-c", HOLDER, server.url, settings.STREAMS_PREFIX]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=BASE_DIR)
    try:
        assert await asyncio.to_thread(holder.stdout.readline) == b"started\n"
        work = Work()
        work.end.set()
        assert not await run_exclusively("chore", work)
        os.kill(holder.pid, number)

        async def free():
            return await run_exclusively("chore", work)

        await until(free, "the lock is free")
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


async def test_nothing_runs_while_redis_is_unavailable(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    work = Work()
    assert not await run_exclusively("chore", work)
    assert work.started == 0


async def test_a_cancellation_at_any_moment_leaves_no_connection_open():
    """An open connection causes a ResourceWarning, which fails the test."""
    chance = random.Random(7)

    async def brief():
        await asyncio.sleep(0.001)

    for _ in range(300):
        task = asyncio.create_task(run_exclusively("brief", brief))
        await asyncio.sleep(chance.random() * 0.003)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
    await asyncio.sleep(0.05)
