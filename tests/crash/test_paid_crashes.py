"""200 paid answers, with processes killed at random moments: the books balance to the last
micro-dollar, and no hold is left over. On SQLite and on a PostgreSQL that is killed too."""

import asyncio
import contextlib
import os
import random
import signal
import uuid
from contextlib import AsyncExitStack

import httpx2
import psutil
import pytest

from tests.client import Client
from tests.crash.databases import FULL, VICTIMS, is_alive
from tests.crash.paid_stacks import MODEL, NO_TITLES, check_the_books
from tests.stack import Stack, wait_for

GUEST = 500_000
ANSWERS = 200 if FULL else 100
# So that sends, answers and ends are all under way at every moment.
AT_ONCE = 50


@pytest.fixture
def dice():
    """What happens by chance. HOLDFAST_TEST_SEED has the same happen again, as far as it can."""
    seed = int(os.environ.get("HOLDFAST_TEST_SEED") or random.randrange(10**9))
    print(f"HOLDFAST_TEST_SEED={seed}")  # noqa: T201 (shown when the test fails)
    return random.Random(seed)


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
