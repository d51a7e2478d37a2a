"""The registry of chores, and the worker's loops that run them."""

import asyncio
import contextlib

import pytest

from chat.generation import loops
from chat.generation.chore_runner import ChoreRunner
from streams import chores
from streams.chores import Chore
from tests.streams.acts import until

HOUR_S = 3_600.0


@contextlib.asynccontextmanager
async def running(monkeypatch, *some_chores, is_leader=True, is_busy=lambda: False):
    monkeypatch.setattr(loops, "ERROR_PAUSE_S", 0.0)
    monkeypatch.setattr("chat.generation.chore_runner.make_all_chores", lambda: some_chores)
    runner = ChoreRunner(is_busy=is_busy)
    runner.note_leader(is_leader)
    tasks = runner.start()
    try:
        yield runner
    finally:
        await loops.cancel_all(tasks)


class Step:
    """Counts its runs; raises in the first `failures` of them."""

    def __init__(self, failures=0):
        self.runs, self._failures = 0, failures

    async def __call__(self):
        self.runs += 1
        if self.runs <= self._failures:
            raise ValueError("as the test wants")

    async def until_run(self, runs):
        async def has_run():
            return self.runs >= runs

        await until(has_run, f"run {runs}")


def test_every_app_registers_its_chores_under_names_of_their_own():
    all_chores = chores.make_all_chores()
    assert {"accounts.chores", "billing.chores", "chat.chores"} <= set(chores.factories)
    for names in ([c.name for c in all_chores], [c.lock for c in all_chores if c.lock]):
        assert len(names) == len(set(names))
    assert {"free-credit", "audit", "idle-guests", "ends", "holds", "prices"} <= {
        chore.lock for chore in all_chores
    }
    woken = {(chore.wake_on, chore.name) for chore in all_chores if chore.wake_on}
    assert woken >= {
        ("join", "guest-joins"),
        ("keys", "provider-keys"),
        ("export", "exports"),
        ("deletion", "deletions"),
        ("search", "search-index"),
    }


def test_each_worker_has_chores_of_its_own():
    """The sweep of ends, for example, remembers what it has checked."""
    steps = [
        {chore.name: chore.step for chore in chores.make_all_chores()}["ends"] for _ in range(2)
    ]
    assert steps[0].__self__ is not steps[1].__self__


@pytest.mark.django_db(transaction=True)  # After an error a worker checks its connection.
async def test_a_chore_that_fails_is_retried_and_delays_no_other(monkeypatch):
    failing, other = Step(failures=2), Step()
    async with running(
        monkeypatch,
        Chore("failing", failing, HOUR_S, retry_s=0.01),
        Chore("other", other, 0.01),
    ):
        await failing.until_run(3)
        await other.until_run(3)
        # After a run that succeeded the interval counts.
        await asyncio.sleep(0.1)
        assert failing.runs == 3


async def test_a_message_starts_the_chores_that_wait_for_it(monkeypatch):
    joins, keys = Step(), Step()
    async with running(
        monkeypatch,
        Chore("joins", joins, HOUR_S, wake_on="join"),
        Chore("keys", keys, HOUR_S, wake_on="keys"),
    ) as runner:
        await keys.until_run(1)
        await joins.until_run(1)
        runner.wake("join")
        await joins.until_run(2)
        assert keys.runs == 1


async def test_only_the_leader_runs_chores_at_their_intervals(monkeypatch):
    sweep, own = Step(), Step()
    async with running(
        monkeypatch,
        Chore("sweep", sweep, 0.01, wake_on="sweep"),
        Chore("own", own, 0.01, everywhere=True),
        is_leader=False,
    ) as runner:
        await own.until_run(5)
        assert sweep.runs == 1  # at its start
        runner.wake("sweep")
        await sweep.until_run(2)
        await own.until_run(own.runs + 5)
        assert sweep.runs == 2
        runner.note_leader(True)
        await sweep.until_run(5)


async def test_a_new_leader_runs_all_chores_at_once(monkeypatch):
    sweep = Step()
    async with running(monkeypatch, Chore("sweep", sweep, HOUR_S), is_leader=False) as runner:
        await sweep.until_run(1)
        runner.note_leader(True)
        await sweep.until_run(2)
        runner.note_leader(True)
        await asyncio.sleep(0.05)
        assert sweep.runs == 2


@pytest.mark.django_db(transaction=True)
async def test_a_woken_chore_that_fails_is_retried_without_being_leader(monkeypatch):
    failing = Step(failures=2)
    chore = Chore("failing", failing, HOUR_S, retry_s=0.01)
    async with running(monkeypatch, chore, is_leader=False):
        await failing.until_run(3)


async def test_a_worker_with_answers_runs_some_chores_more_often(monkeypatch):
    index, is_busy = Step(), False
    chore = Chore("index", index, HOUR_S, busy_interval_s=0.01)
    async with running(monkeypatch, chore, is_leader=False, is_busy=lambda: is_busy) as runner:
        await index.until_run(1)
        is_busy = True
        runner.note_busy()
        await index.until_run(5)
        is_busy = False
        runner.note_busy()
        await asyncio.sleep(0.1)
        runs = index.runs
        await asyncio.sleep(0.1)
        assert index.runs == runs


async def test_a_chore_that_is_not_due_takes_no_lock(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    step = Step()
    await Chore("never", step, HOUR_S, lock="never", is_due=lambda: False).run()
    assert step.runs == 0


@pytest.mark.usefixtures("redis_url")
async def test_a_chore_with_a_lock_runs_in_one_worker_at_a_time():
    started, end = asyncio.Event(), asyncio.Event()
    runs = []

    async def step():
        runs.append(1)
        started.set()
        await end.wait()

    chore = Chore("slow", step, HOUR_S, lock="slow")
    first = asyncio.create_task(chore.run())
    async with asyncio.timeout(20):
        await started.wait()
        await chore.run()
    assert runs == [1]
    end.set()
    await first
