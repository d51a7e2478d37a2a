import asyncio
import os
import random
import signal
import subprocess
import sys

import pytest

from streams.lock import alone
from tests.stack import BASE_DIR
from tests.streams.acts import PATIENCE_S, until

pytestmark = pytest.mark.usefixtures("server")


class Work:
    """Counts who is at it; goes on until `end` is set."""

    def __init__(self):
        self.begun = self.now = self.most = self.cancelled = 0
        self.end = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1


async def started(work):
    async def has_begun():
        return work.begun > 0

    await until(has_begun, "the work begins")


async def test_one_of_ten_does_it_and_the_others_go_on_at_once():
    work = Work()
    first = asyncio.create_task(alone("chore", work))
    await started(work)
    assert await asyncio.gather(*(alone("chore", work) for _ in range(9))) == [False] * 9
    # Another chore is another turn.
    other = Work()
    other.end.set()
    assert await alone("other", other)
    work.end.set()
    assert await first
    assert (work.begun, work.most) == (1, 1)
    assert await alone("chore", work)


async def test_a_turn_lasts_as_long_as_the_work():
    work = Work()
    first = asyncio.create_task(alone("chore", work, lease_ms=300))
    await started(work)
    for _ in range(8):
        await asyncio.sleep(0.1)
        assert not await alone("chore", work, lease_ms=300)
    work.end.set()
    assert await first


async def test_an_error_ends_the_turn():
    async def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await alone("chore", fail)
    work = Work()
    work.end.set()
    assert await alone("chore", work)


async def test_who_is_cancelled_gives_the_turn_up():
    work = Work()
    first = asyncio.create_task(alone("chore", work))
    await started(work)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.end.set()
    assert work.cancelled == 1 and await alone("chore", work)


async def test_who_lost_the_turn_is_cancelled(server):
    work = Work()
    first = asyncio.create_task(alone("chore", work, lease_ms=300))
    await started(work)
    with server.client() as client:
        [key] = client.keys("*{turn:chore}")
        client.set(key, "somebody else")
    assert await asyncio.wait_for(first, PATIENCE_S) is False
    assert work.cancelled == 1
    # And does not take it from its successor.
    with server.client() as client:
        assert client.get(key) == b"somebody else"


HOLDER = """
import asyncio, sys
from django.conf import settings
settings.configure(REDIS_URL=sys.argv[1], STREAMS_PREFIX=sys.argv[2])
from streams.lock import alone
async def work():
    print("begun", flush=True)
    await asyncio.sleep(600)
asyncio.run(alone("chore", work, lease_ms=1_500))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_turn_of_a_holder_that_was_killed_or_frozen_comes_free(number, server, settings):
    command = [sys.executable, "-c", HOLDER, server.url, settings.STREAMS_PREFIX]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=BASE_DIR)
    try:
        assert await asyncio.to_thread(holder.stdout.readline) == b"begun\n"
        work = Work()
        work.end.set()
        assert not await alone("chore", work)
        os.kill(holder.pid, number)

        async def free():
            return await alone("chore", work)

        await until(free, "the turn comes free")
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


async def test_while_redis_is_away_nothing_is_done(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    work = Work()
    assert not await alone("chore", work)
    assert work.begun == 0


async def test_a_cancellation_is_obeyed_at_any_moment_and_leaves_no_connection():
    """What is left open is told by a ResourceWarning, which fails a test."""
    chance = random.Random(7)

    async def brief():
        await asyncio.sleep(0.001)

    for _ in range(300):
        task = asyncio.create_task(alone("brief", brief))
        await asyncio.sleep(chance.random() * 0.003)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
    await asyncio.sleep(0.05)
