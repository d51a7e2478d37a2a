"""Kills, freezes and replaces processes and cuts connections at random while people chat.

Afterwards it checks every byte: no person received a byte of another's answer, no byte is lost or
repeated, all answers have ended, no process or socket is left over, and the books balance.

The usual tests make 30 disturbances on each database, `manage.py test --full` makes 300.
HOLDFAST_TEST_SEED repeats a run as far as timing allows; CONTRIBUTING.md describes how to use it.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.crash.disturbances import Disturbances
from tests.crash.kill_checks import (
    check_export,
    check_log,
    check_prompts,
    check_search,
    check_talk,
)
from tests.crash.kill_people import MODELS, Person
from tests.crash.leftovers import check_processes, check_sockets, check_tasks
from tests.fake_model import FakeModel, running_fake_model
from tests.stack import DATABASE, Stack, migrated

PEOPLE = 8
ENDED_WITHIN_S = 60.0
# Ends a run that hangs. On an idle machine a run takes a tenth of it.
BATCH_WITHIN_S = 400.0
# Words of log lines that are left out of the report.
ROUTINE = ("GET /", "POST /", "DELETE /", "WebSocket", "ready", "taking over answer")
ENVIRONMENT = {
    "OPENROUTER_API_KEY": "sk-or",
    "HOLDFAST_PREFILL_MODELS": MODELS[1],
    "CREDIT_GUEST_MICRO_USD": "100000000",
    "LIMIT_EXPORTS_PER_DAY_USER": "0",
    "LIMIT_CHANGES_PER_MINUTE_USER": "0",
    "LIMIT_SENDS_PER_MINUTE_ACCOUNT": "0",
    # The hold of a title whose worker is killed lasts for minutes:
    # tests/chat/charging/test_pricing.py.
    "HOLDFAST_BACKGROUND_CALLS": "False",
}


@dataclass
class Run:
    stack: Stack
    database: Any
    model: FakeModel
    dice: random.Random
    people: list[Person] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def __post_init__(self) -> None:
        self.disturbances = Disturbances(
            self.stack, self.database, self.model, self.people, self.dice
        )

    async def enter(self) -> None:
        for number in range(1, PEOPLE + 1):
            seed = self.dice.randrange(10**9)
            self.people.append(Person(number, self.stack.url, self.model, random.Random(seed)))
        await asyncio.gather(*(person.enter() for person in self.people))

    async def batch(self, count: int) -> None:
        """Makes `count` disturbances while people chat; all must settle within a minute."""
        pause = asyncio.Event()
        lives = [asyncio.create_task(person.live(pause)) for person in self.people]
        await self.disturbances.run(count)
        pause.set()
        self.disturbances.note("the last of this batch is over")
        calm_at = time.monotonic()
        for life in await asyncio.gather(*lives, return_exceptions=True):
            if isinstance(life, BaseException):
                self.faults.append(f"{type(life).__name__}: {life}")
        await self.settle(calm_at)
        await self.check(calm_at)
        self.disturbances.note(f"settled {self.slowest_s:.1f} s after it, at most")

    async def settle(self, calm_at: float) -> None:
        """Waits until all processes are ready and all replies have ended."""
        unfinished = "SELECT id, state FROM chat_reply WHERE finished_at IS NULL"
        rows: list[Any] = []
        while (passed_s := time.monotonic() - calm_at) < ENDED_WITHIN_S:
            rows = await asyncio.to_thread(self.database.rows, self.stack, unfinished)
            if not rows and await self.is_ready():
                break
            await asyncio.sleep(0.1)
        else:
            self.faults.append(f"not ended after a minute: {rows}, ready: {await self.is_ready()}")
        self.slowest_s = max(self.slowest_s, passed_s)

    async def is_ready(self) -> bool:
        with contextlib.suppress(httpx2.TransportError):
            async with httpx2.AsyncClient(timeout=5, verify=False) as http:
                return (await http.get(f"{self.stack.url}/readyz")).status_code == 200
        return False

    async def check(self, calm_at: float) -> None:
        within_s = max(calm_at + ENDED_WITHIN_S - time.monotonic(), 10)
        talks = [(one, talk) for one in self.people for talk in one.talks if not talk.is_deleted]
        cuts_ms = self.disturbances.cuts_ms
        checks = (check_talk(*pair, cuts_ms, within_s) for pair in talks)
        for found in await asyncio.gather(*checks):
            self.faults += found
        self.faults += await self.without_faults(check_processes, self.stack)
        self.faults += check_tasks(self.stack)
        self.faults += await asyncio.to_thread(check_log, self.stack, self.people)
        self.faults += check_prompts(self.model.requests)
        self.faults += await check_sockets(self.dice.choice(self.people), 30)
        self.faults += [fault for person in self.people for fault in person.foreign]
        assert self.faults == [], self.faults[:20]

    async def without_faults(self, check: Any, *arguments: Any) -> list[str]:
        """Repeats a check until it finds nothing, because a roll may take a while; returns the last
        findings."""
        deadline = time.monotonic() + ENDED_WITHIN_S
        while (found := await asyncio.to_thread(check, *arguments)) and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
        return found

    async def end(self) -> None:
        """Runs the checks that are made only once: search, exports, the books."""
        self.faults += await asyncio.to_thread(check_search, self.stack, self.database, self.people)
        for found in await asyncio.gather(*(check_export(one) for one in self.people[:3])):
            self.faults += found
        self.faults += [fault for person in self.people for fault in person.foreign]
        assert self.faults == [], self.faults[:20]
        await asyncio.to_thread(check_the_books, self.stack, self.database, len(self.people))
        # The kills had effect: answers were taken over.
        again = "SELECT COUNT(*) FROM billing_usage WHERE attempt > 1"
        assert self.database.rows(self.stack, again)[0][0] > 0

    def tell(self) -> None:
        """Prints what is needed to find the cause; pytest shows it when the test fails."""
        acts: Counter[str] = sum((person.acts for person in self.people), Counter())
        closes: Counter[int | None] = sum((person.closes for person in self.people), Counter())
        lines = [*self.stack.earlier_lines, *self.stack.lines]
        shown = [line for line in lines if not any(word in line for word in ROUTINE)]
        parts = [f"acts: {dict(acts)}", f"sockets closed: {dict(closes)}"]
        parts += [f"settled after {self.slowest_s:.1f} s at most", *self.faults]
        parts += ["", "The last disturbances:", *self.disturbances.journal[-40:]]
        parts += ["", f"The last of {len(lines)} lines:", *shown[-250:]]
        print("\n".join(parts))  # noqa: T201 (shown when the test fails)
        if folder := os.environ.get("HOLDFAST_TEST_LOGS"):
            path = Path(folder, f"{self.stack.data.name}.log")
            path.write_text("\n".join([*parts, "", "All lines:", *lines]))


def check_the_books(stack: Stack, database: Any, people: int) -> None:
    """Checks that no hold is open, that debits equal charges, and that the audit is clean."""
    ask = lambda query: database.rows(stack, query)[0][0]  # noqa: E731
    assert ask("SELECT COUNT(*) FROM billing_hold WHERE state = 'open'") == 0
    assert ask("SELECT SUM(held_micro_usd) FROM billing_purse") == 0
    audit = stack.manage("audit_ledger", "--json", timeout=120)
    assert json.loads(audit.stdout)["differences"] == [], audit.stdout
    assert audit.returncode == 0
    amounts = "SELECT SUM(amount_micro_usd) FROM billing_ledgerentry WHERE amount_micro_usd"
    charged = ask("SELECT SUM(charged_micro_usd) FROM billing_usage")
    assert -ask(f"{amounts} < 0") == charged > 0
    given = ask(f"{amounts} > 0")
    assert given == people * int(ENVIRONMENT["CREDIT_GUEST_MICRO_USD"])
    assert ask("SELECT SUM(balance_micro_usd) FROM billing_purse") == given - charged


@contextlib.asynccontextmanager
async def kill_run(database: Any, dice: random.Random):
    if folder := os.environ.get("HOLDFAST_TEST_LOGS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hf-kill-") as name, running_fake_model() as model:
        shutil.copy(migrated(), Path(name, DATABASE))
        model.list_models(*(name.partition("/")[2] for name in MODELS))
        env = {**ENVIRONMENT, "OPENROUTER_BASE_URL": model.openrouter_url, **database.env}
        with Stack(Path(name), env=env) as stack:
            run = Run(stack, database, model, dice)
            try:
                await run.enter()
                yield run
            finally:
                run.tell()
                await asyncio.gather(*(person.leave() for person in run.people))


async def disturbed(database: Any, dice: random.Random, batches: int, size: int) -> None:
    async with kill_run(database, dice) as run:
        for _ in range(batches):
            async with asyncio.timeout(BATCH_WITHIN_S):
                await run.batch(size)
        async with asyncio.timeout(BATCH_WITHIN_S):
            await run.end()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_thirty_disturbances(database, dice):
    await disturbed(database, dice, batches=1, size=30)


@pytest.mark.full
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_three_hundred_disturbances(database, dice):
    await disturbed(database, dice, batches=15, size=20)
