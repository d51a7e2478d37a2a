"""Kills processes at random during forty paid answers (200 with --full): the books balance
exactly, and no hold is left over. Runs on SQLite, and on a PostgreSQL that is killed as well."""

import asyncio
import contextlib
import signal
import uuid
from contextlib import AsyncExitStack

import httpx2
import psutil
import pytest

from tests.client import Client
from tests.crash.databases import VICTIMS, is_alive
from tests.crash.paid_stacks import MODEL, NO_TITLES, check_the_books
from tests.examples import FULL
from tests.stack import Stack, wait_for

GUEST = 500_000
ANSWERS = 200 if FULL else 40
# Answers that begin before the first kill: enough that sends, answers and ends always overlap.
AT_FIRST = ANSWERS // 5
WORKERS = ("worker-1", "worker-2")
# A worker is killed while this many answers are being written, so that it has some of them.
HIT = 4


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
    """A client that has loaded the page and sent nothing yet."""
    while True:
        with contextlib.suppress(httpx2.TransportError, httpx2.HTTPStatusError):
            return await clients.enter_async_context(Client(stack.url, MODEL))
        await asyncio.sleep(0.1)


async def placed(client, text):
    """Repeats a send with the same id until it is accepted, as the page does. Repeats it after a
    400, too: Django responds so if the database dies while it saves a session."""
    message_id = str(uuid.uuid4())
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(AssertionError):
                return await client.send(text, message_id=message_id)
            await asyncio.sleep(0.2)


async def one(client, number, *, later_s=0.0):
    """Follows an answer from the send to its end. Stops every eighth answer."""
    await asyncio.sleep(later_s)
    reply = await placed(client, f"[[tokens=60&rate=60]] Question {number}")
    if number % 8 == 0:
        await client.until(reply, lambda m: bool(m.text) or m.status != "queued", 120)
        await client.command("POST", f"/api/chats/{client.chat}/replies/{reply}/stop", {})
    return await client.settled(reply, 120)


class Progress:
    """Runs the answers and counts those that ended. Each kill has a share of the answers, which
    begin only when the kills before it are done, so kills hit running answers on a machine of any
    speed."""

    def __init__(self, clients):
        self.clients = clients
        self.ended = 0
        self.may_begin = asyncio.Semaphore(AT_FIRST)

    async def one(self, client, number):
        await self.may_begin.acquire()
        message = await one(client, number)
        self.ended += 1
        return message

    def running(self):
        """How many answers are being written, as far as their readers know."""
        messages = (m for client in self.clients for m in client.transcript.messages.values())
        return sum(message.status == "running" for message in messages)

    async def kill_some(self, stack, database, dice):
        victims = dice.sample(database.victims, k=len(database.victims))
        share = (ANSWERS - AT_FIRST) // len(victims)
        for number, victim in enumerate(victims):
            while self.ended < number * share:
                await asyncio.sleep(0.05)
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            for _ in range(share):
                self.may_begin.release()
            if victim in WORKERS:
                await self.hit(stack, victim, allowed=AT_FIRST + (number + 1) * share)
            elif victim in VICTIMS:
                self.kill(stack, victim)
            else:
                await asyncio.to_thread(database.kill, victim, dice)
        for _ in range(ANSWERS):
            self.may_begin.release()

    async def hit(self, stack, worker, allowed):
        """Kills a worker while answers are being written, if enough of the `allowed` are left."""
        while self.running() < HIT and self.ended < allowed - HIT:
            await asyncio.sleep(0.02)
        self.kill(stack, worker)

    def kill(self, stack, victim):
        with contextlib.suppress(ProcessLookupError, KeyError):
            stack.kill(victim)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_the_books_balance_whatever_is_killed(paid_stack, database, dice):
    stack = paid_stack
    async with AsyncExitStack() as stack_of_clients:
        visitors = (visitor(stack_of_clients, stack) for _ in range(ANSWERS))
        clients = await asyncio.gather(*visitors)
        progress = Progress(clients)
        killer = asyncio.create_task(progress.kill_some(stack, database, dice))
        answers = (progress.one(client, number) for number, client in enumerate(clients))
        messages = await asyncio.gather(*answers)
        await killer
    assert {message.status for message in messages} <= {"done", "stopped", "error"}
    assert [m.error for m in messages if m.error and m.error["code"] != "attempts_spent"] == []
    await asyncio.to_thread(check_the_books, stack, database, ANSWERS)
    # The kills had effect: answers were taken over, and database sessions died.
    again = "SELECT COUNT(*) FROM billing_usage WHERE attempt > 1"
    assert database.rows(stack, again)[0][0] > 0
    assert getattr(database, "backends_killed", 1) > 0
    # Each guest got one budget, and the ledger's debits equal the charges.
    given, spent = database.rows(
        stack,
        "SELECT SUM(amount_micro_usd) FILTER (WHERE amount_micro_usd > 0),"
        " -SUM(amount_micro_usd) FILTER (WHERE amount_micro_usd < 0) FROM billing_ledgerentry",
    )[0]
    assert given == ANSWERS * GUEST
    charged = database.rows(stack, "SELECT SUM(charged_micro_usd) FROM billing_usage")[0][0]
    assert spent == charged > 0


POWER_CUTS, CUT_ANSWERS = (3, 40) if FULL else (2, 24)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_the_books_balance_when_everything_is_killed_at_once(paid_stack, database, dice):
    """Like a power cut, except that the kernel's page cache survives."""
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
    """Kills all processes at once, stopped first so that none reacts to another's death."""
    up = psutil.Process(stack.up.pid)
    processes = [up, *up.children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    stack.wait()
    wait_for(lambda: not any(is_alive(process) for process in processes), 30)
