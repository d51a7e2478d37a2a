"""A worker, a model and a person, in one process: real Redis, real database, real HTTP."""

import asyncio
import uuid

import pytest
import uvloop
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.test import AsyncClient

from accounts import chores as account_chores
from accounts.models import User
from billing import chores as billing_chores
from billing.payments import chores as payment_chores
from chat.generation.worker import Worker
from chat.llm import learned
from chat.llm.catalogue import reset_catalogue
from chat.llm.http import idle_connections
from streams import chores as registry
from streams.log import close_log, get_log
from streams.queue import close_queues
from tests.fake_model import running_fake_model
from tests.folding import fold_entries
from tests.node import browser_fold
from tests.statements import Statements

MODEL = "openai/script/known"
SETTLED = {"done", "stopped", "error"}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def javascript_fold():
    with browser_fold() as fold:
        yield fold


@pytest.fixture(autouse=True)
def nothing_learned():
    """Forget what one test learned of its provider; the next test's provider may have its port."""
    yield
    for known in vars(learned).values():
        if isinstance(known, learned.Learned):
            known.clear()


@pytest.fixture
def fake_model():
    with running_fake_model() as fake:
        yield fake


@pytest.fixture
def holdfast(transactional_db, redis_url, fake_model, settings, monkeypatch):
    """Settings that lead to the fake model; no worker runs yet. Workers neither audit
    (the audit's thread has no access to an SQLite database in memory) nor grant free credit."""
    monkeypatch.setitem(registry.factories, billing_chores.__name__, payment_chores.chores)
    settings.OPENAI_API_KEY = "sk-test"
    settings.OPENAI_BASE_URL = fake_model.base_url
    settings.BACKGROUND_CALLS = False
    return fake_model


@pytest.fixture
def frequent_sweeps(monkeypatch):
    """For tests of what takes several sweeps, or of a sweep that nothing wakes."""
    monkeypatch.setattr(account_chores, "SWEEP_EVERY_S", 0.5)


@pytest.fixture
async def worker(holdfast):
    """A worker in this event loop; everything of the loop is closed afterwards."""
    worker = Worker()
    running = asyncio.create_task(worker.run())
    yield worker
    worker.leave()
    await running
    await close_loop()


@pytest.fixture
async def no_worker(holdfast):
    yield
    await close_loop()


async def close_loop():
    await close_queues()
    await close_log()
    await reset_catalogue()
    # Async code uses the database in this thread; PostgreSQL counts its connection.
    await sync_to_async(connections.close_all)()


@pytest.fixture
def statements(monkeypatch):
    """What the database executes during the test: `tests.statements.Statements`."""
    seen = Statements()
    execute = CursorWrapper._execute

    def note(self, sql, params, *ignored):
        seen.note(sql, params)
        return execute(self, sql, params, *ignored)

    monkeypatch.setattr(CursorWrapper, "_execute", note)
    return seen


class Person:
    """A person with a browser (a cookie jar), and access to their log."""

    def __init__(self):
        self.client = AsyncClient()
        self.chat = str(uuid.uuid4())
        self.user = None

    async def visit(self):
        return await self.client.get("/")

    async def post(self, path, **body):
        return await self.client.post(path, body, content_type="application/json")

    async def send(self, text, *, chat=None, parent=None, model=MODEL, **fields):
        """Send a message; returns its id and the id of its reply."""
        body = {"id": str(uuid.uuid4()), "text": text, "model": model, "parent": parent} | fields
        response = await self.post(f"/api/chats/{chat or self.chat}/messages", **body)
        assert response.status_code == 202, response.content
        accepted = response.json()
        self.user = accepted["user"]
        return accepted["message"], accepted["reply"]

    async def row(self):
        return await User.objects.aget(id=self.user["id"])

    @property
    def stream(self):
        return f"u:{uuid.UUID(self.user['id']).hex}"

    async def entries(self, chat=None):
        return await get_log().read(self.stream, chat=chat or self.chat)

    async def kept(self, chat=None):
        """Wait until no answer of a chat is being written; returns the chat's entries."""
        async with asyncio.timeout(20):
            while True:
                entries = await self.entries(chat)
                if not any(entry.part for entry in entries):
                    return entries
                await asyncio.sleep(0.02)

    async def transcript(self, chat=None):
        return fold_entries(await self.entries(chat))

    async def message(self, message_id, chat=None):
        return (await self.transcript(chat)).messages[message_id]

    async def settled(self, message_id, chat=None):
        """Wait until a message has ended; returns it."""
        return await self.until(message_id, lambda message: message.status in SETTLED, chat)

    async def until(self, message_id, condition, chat=None):
        async with asyncio.timeout(20):
            while True:
                message = (await self.transcript(chat)).messages.get(message_id)
                if message is not None and condition(message):
                    return message
                await asyncio.sleep(0.02)


@pytest.fixture
async def alice(holdfast):
    person = Person()
    await person.visit()
    return person


@pytest.fixture
async def bob(holdfast):
    person = Person()
    await person.visit()
    return person


@pytest.fixture(autouse=True)
def patient_connections(monkeypatch):
    """On a busy machine, seconds may pass between two calls that should share a connection; on an
    idle one, almost no time."""
    monkeypatch.setattr(idle_connections, "MAX_IDLE_S", 120.0)
    monkeypatch.setattr(idle_connections, "MIN_IDLE_S", 0.0)


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine in a loop of either kind; fails if it does not end."""

    def run(main):
        async def bounded():
            async with asyncio.timeout(120):
                return await main

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(bounded())

    return run
