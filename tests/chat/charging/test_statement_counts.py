"""How many statements the database executes for one answer. Each costs about half a millisecond of
Python, in which a writer on SQLite holds the only write lock.

Statements that only control a transaction or a connection are not counted.
"""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from accounts.models import ProviderKey, User
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.probe import Verdict
from billing import ledger
from chat.generation.chore_runner import ChoreRunner
from chat.generation.worker import Worker
from chat.llm.catalogue import reset_catalogue
from chat.models import Chat, Reply
from chat.sending import outbox, sends
from chat.sending.send import Send
from tests.chat.charging.priced_answers import MODEL as PAID
from tests.chat.conftest import MODEL as FREE
from tests.chat.conftest import Person
from tests.statements import outboxes_empty, scans

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

OWN_KEY = "own key"
SEND = {FREE: 7, PAID: 11, OWN_KEY: 8}
ANSWER = {FREE: 7, PAID: 14, OWN_KEY: 10}
# A visitor's first send creates a guest, a session and, on credit, a purse with the guest budget.
FIRST_SEND = {FREE: 11, PAID: 23}
# The title's call has a hold and a charge of its own.
TITLE = {FREE: 7, PAID: 13}


@pytest.fixture(autouse=True)
def bounded(settings):
    """Storage has a budget, as it has outside the tests."""
    settings.LIMIT_STORED_BYTES_GUEST = settings.LIMIT_STORED_BYTES_ACCOUNT = 10**8


@pytest.fixture(autouse=True)
def no_chores(monkeypatch):
    """Neither chores nor sweeps, which run at their times, not for an answer."""

    async def nothing(self):
        await asyncio.sleep(3600)

    monkeypatch.setattr(ChoreRunner, "start", lambda self: [])
    monkeypatch.setattr(Worker, "_deliver_abandoned", nothing)


async def account():
    person = Person()
    row = await sync_to_async(User.objects.create_user)("alice@example.org", "x")
    await person.client.aforce_login(row)
    person.user = {"id": str(row.id)}
    await sync_to_async(ledger.post)(row.id, "adjustment", 5_000_000, key="start", reason="a test")
    return person


async def own_key_of(person, fake, settings):
    """An account's own key; returns the id of a model that it opens."""
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    verdict = Verdict(ProviderKey.Status.OK, [{"id": "script/known"}])
    key, fields = "sk-own-AbCdEfGhIjKlMnOpQrSt0001", {"label": "Lab", "base_url": fake.base_url}
    row = await sync_to_async(provider_keys.save)(
        await person.row(), "custom", key, verdict, replaces=None, **fields
    )
    return f"{provider_keys.endpoint_name(row)}/script/known"


async def written(person, reply):
    """Let a worker write the reply, and wait until it is settled and its title is written."""
    worker = Worker()
    running = asyncio.create_task(worker.run())
    await person.settled(reply)
    while worker.jobs.held:
        await asyncio.sleep(0.01)
    if worker.jobs.title_tasks:
        await asyncio.wait(worker.jobs.title_tasks)
    worker.leave()
    await running


async def counts(person, statements, model, parent=None):
    """Send and answer one message; returns the reply and (statements, transactions) of both."""
    statements.clear()
    _, reply = await person.send("Hello", parent=parent, model=model)
    of_send = statements.take()
    await outboxes_empty()
    statements.clear()
    await written(person, reply)
    return reply, of_send, statements.take()


def check(counted, statements, transactions):
    executed, begun = counted
    assert len(executed) <= statements, [sql[:200] for sql, _ in executed]
    if connection.vendor == "sqlite":
        assert begun <= transactions, executed


@pytest.mark.parametrize("model", [FREE, PAID])
async def test_of_a_guest(no_worker, alice, statements, model):
    reply, send, answer = await counts(alice, statements, model)
    check(send, FIRST_SEND[model], 2)
    check(answer, ANSWER[model], 2)
    _, send, answer = await counts(alice, statements, model, parent=reply)
    check(send, SEND[model], 1)
    check(answer, ANSWER[model], 2)


@pytest.mark.parametrize("kind", [FREE, PAID, OWN_KEY])
async def test_of_an_account(no_worker, holdfast, settings, statements, kind):
    person = await account()
    model = await own_key_of(person, holdfast, settings) if kind == OWN_KEY else kind
    reply, _, _ = await counts(person, statements, model)
    _, send, answer = await counts(person, statements, model, parent=reply)
    check(send, SEND[kind], 1)
    check(answer, ANSWER[kind], 2)


@pytest.mark.parametrize("model", [FREE, PAID])
async def test_of_a_title(no_worker, alice, settings, fake_model, statements, model):
    settings.BACKGROUND_CALLS = True
    fake_model.list_models("script/known?tokens=4")
    await reset_catalogue()
    _, _, answer = await counts(alice, statements, f"{model}?tokens=4")
    check(answer, ANSWER[model] + TITLE[model], 5)
    assert (await Chat.objects.aget(id=alice.chat)).title_by == Chat.TitleBy.MODEL


@pytest.mark.parametrize("model", [FREE, PAID])
async def test_after_200_messages(no_worker, alice, statements, model):
    reply, _, _ = await counts(alice, statements, model)
    person, chat = await alice.row(), uuid.UUID(alice.chat)

    def place(parent):
        return sends.place_send(person, Send(uuid.uuid4(), chat, "More", FREE, parent, edit=False))

    for _ in range(100):
        placed = await sync_to_async(place)(uuid.UUID(reply))
        await outbox.append_outbox(placed, alice.stream)
        await Reply.objects.filter(id=placed.id).aupdate(state="done", outbox=None)
        reply = str(placed.id)
    _, send, answer = await counts(alice, statements, model, parent=reply)
    check(send, SEND[model], 1)
    check(answer, ANSWER[model], 2)


# Indexes


async def test_each_statement_finds_its_rows_by_an_index(no_worker, alice, statements):
    reply, *first = await counts(alice, statements, PAID)
    reply, *paid = await counts(alice, statements, PAID, parent=reply)
    _, *free = await counts(alice, statements, FREE, parent=reply)
    executed = [one for counted, _ in (*first, *paid, *free) for one in counted]
    assert len(executed) >= 60
    assert not await sync_to_async(scans)(executed)
