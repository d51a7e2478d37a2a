"""Makes 60 sends (200 with --full) at once on one cent, through two web processes, while workers
answer: holds and charges never exceed the balance. Runs on SQLite and on PostgreSQL."""

import asyncio
import re
import sqlite3
import uuid
from contextlib import closing
from http import HTTPStatus

import httpx2
import psycopg
import pytest

from tests.billing import purse_history
from tests.client import Client
from tests.crash.databases import Sqlite
from tests.crash.paid_stacks import MODEL, NO_TITLES, check_the_books
from tests.examples import FULL
from tests.fake_model import running_fake_model
from tests.stack import wait_for

CENT, SENDS = 10_000, 200 if FULL else 60
# A reply holds about $0.0004 and costs as much, so about 24 fit, at once and in all.
CHEAP = {"prompt": "0.000001", "completion": "0.000002"}
QUESTION = "[[tokens=5&cost=0.0004]] Question"


@pytest.fixture
def crowded(make_stack, database):
    """Yields a stack that records each state of its purses, and the URLs of two web processes."""
    with running_fake_model() as model:
        model.price("script/known", CHEAP)
        env = {
            "OPENROUTER_API_KEY": "sk-or",
            "OPENROUTER_BASE_URL": model.openrouter_url,
            "CREDIT_GUEST_MICRO_USD": str(CENT),
            **database.env,
            **NO_TITLES,
        }
        stack = make_stack(env=env).start()
        watch(stack, database)
        with stack.another_web() as url:
            yield stack, [stack.url, url]


def watch(stack, database):
    if isinstance(database, Sqlite):
        with closing(sqlite3.connect(stack.data / "db.sqlite3", timeout=30)) as connection:
            connection.executescript(";".join(purse_history.INSTALL["sqlite"]) + ";")
        return
    with psycopg.connect(database.server.get_uri()) as connection:
        for statement in purse_history.INSTALL["postgresql"]:
            connection.execute(statement)


async def one(http, url, jar, number):
    """Repeats a send, as the page does, while other replies hold the credit, and after an error of
    the server; returns the last status and code."""
    cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
    headers = {"Cookie": cookies, "X-CSRFToken": jar["csrftoken"], "Origin": url}
    body = {"id": str(uuid.uuid4()), "text": f"{QUESTION} {number}", "model": MODEL}
    path = f"{url}/api/chats/{uuid.uuid4()}/messages"
    async with asyncio.timeout(240):
        while True:
            response = await http.post(path, json=body | {"parent": None}, headers=headers)
            said = response.json().get("error", {}).get("code", "accepted")
            if said != "credit_held" and response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                return response.status_code, said
            await asyncio.sleep(0.3)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_many_sends_at_once_on_one_cent(crowded, database):
    stack, urls = crowded
    limits = httpx2.Limits(max_connections=SENDS)
    async with Client(stack.url, MODEL) as alice:
        await alice.settled(await alice.send(f"{QUESTION} 0"))
        jar = dict(alice.http.cookies)
        async with httpx2.AsyncClient(timeout=120, limits=limits) as http:
            sends = (one(http, urls[n % 2], jar, n) for n in range(1, SENDS))
            said = await asyncio.gather(*sends)
    faults = [line for line in stack.lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    assert [line for line in faults if "database is locked" not in line] == []
    assert set(said) == {(202, "accepted"), (402, "out_of_credit")}
    answers = 1 + said.count((202, "accepted"))
    await asyncio.to_thread(check, stack, database, answers)


def check(stack, database, answers):
    unfinished = "SELECT COUNT(*) FROM chat_reply WHERE finished_at IS NULL"
    wait_for(lambda: database.rows(stack, unfinished) == [(0,)], 120)
    check_the_books(stack, database, answers)
    purse_history.check(database.rows(stack, purse_history.MINIMA)[0], at_least=2 * answers)
    [(people, balance)] = database.rows(
        stack, "SELECT COUNT(*), SUM(balance_micro_usd) FROM billing_purse"
    )
    [(calls, charged)] = database.rows(
        stack, "SELECT COUNT(*), SUM(charged_micro_usd) FROM billing_usage"
    )
    # A reply may end without a call if its prompt turned out longer than its hold allows.
    assert people == 1 < calls <= answers
    assert balance == CENT - charged
    # The rest is less than the shortest answer needs.
    assert 0 <= balance < 1_000
