"""How many statements the database executes for one answer. Each costs about a millisecond of
Python, in which a writer on SQLite holds the only write lock."""

import asyncio
import re

import pytest
from django.db.backends.utils import CursorWrapper

from chat.generation.chore_runner import ChoreRunner
from chat.generation.worker import Worker
from tests.chat.charging.priced_answers import MODEL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

# For each model, the most statements of a visitor's first send (which creates the guest, a session
# and, for a paid model, a purse with the guest budget), of a further send, and of a worker from its
# start to the end of one reply. On SQLite, BEGIN and PRAGMA count too.
BUDGETS = {"openai/script/known": (28, 13, 15), MODEL: (42, 17, 27)}


@pytest.fixture
def statements(monkeypatch):
    """The statements that any thread executes, in their order."""
    seen = []
    execute = CursorWrapper._execute

    def note(self, sql, params, *ignored):
        seen.append(re.sub(r"\s+", " ", str(sql))[:200])
        return execute(self, sql, params, *ignored)

    monkeypatch.setattr(CursorWrapper, "_execute", note)
    return seen


@pytest.fixture
def no_chores(monkeypatch):
    monkeypatch.setattr(ChoreRunner, "start", lambda self: [])


async def written(alice, reply):
    """Let a worker write the reply, and wait until it is settled."""
    worker = Worker()
    running = asyncio.create_task(worker.run())
    await alice.settled(reply)
    while worker.jobs.held:
        await asyncio.sleep(0.01)
    worker.leave()
    await running


@pytest.mark.parametrize("model", BUDGETS)
async def test_an_answer_takes_few_statements(no_worker, no_chores, alice, statements, model):
    first, send, answer = BUDGETS[model]
    parent = None
    for budget in (first, send):
        statements.clear()
        _, parent = await alice.send("Hello", parent=parent, model=model)
        assert len(statements) <= budget, statements
        statements.clear()
        await written(alice, parent)
        assert len(statements) <= answer, statements
