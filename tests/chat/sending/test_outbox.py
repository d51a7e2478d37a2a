"""The outbox of a reply is emptied after the response, for many sends together."""

import asyncio
import uuid

import pytest
from django.db import OperationalError

from chat.generation.worker import Worker
from chat.models import Reply
from chat.sending import outbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def until_empty():
    async with asyncio.timeout(20):
        while await Reply.objects.filter(outbox__isnull=False).aexists():
            await asyncio.sleep(0.02)


@pytest.fixture
def emptied(monkeypatch):
    """The ids with which each statement was executed."""
    calls, empty = [], outbox._empty_outboxes

    def note(ids):
        calls.append(len(ids))
        empty(ids)

    monkeypatch.setattr(outbox, "_empty_outboxes", note)
    return calls


async def test_many_sends_are_emptied_together(no_worker, alice, emptied, monkeypatch):
    monkeypatch.setattr(outbox, "EMPTY_AFTER_S", 1.0)
    await alice.send("Hello")
    await asyncio.gather(*(alice.send("Hello", chat=str(uuid.uuid4())) for _ in range(5)))
    assert await Reply.objects.filter(outbox__isnull=False).acount() == 6
    await until_empty()
    assert sum(emptied) == 6
    assert len(emptied) <= 3
    # Later ones, too.
    await alice.send("Hello", chat=str(uuid.uuid4()))
    await until_empty()
    assert sum(emptied) == 7


async def test_a_send_before_it_is_empty_stores_nothing_twice(no_worker, alice, monkeypatch):
    monkeypatch.setattr(outbox, "EMPTY_AFTER_S", 60.0)
    _, first = await alice.send("One")
    await alice.send("Two", parent=first)
    events = [entry.type for entry in await alice.entries()]
    assert events == ["chat.created", *["message.created"] * 4]
    assert len((await alice.transcript()).messages) == 4


async def test_a_sweep_empties_what_a_crash_left(no_worker, alice, monkeypatch):
    def fail(ids):
        raise OperationalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "_empty_outboxes", fail)
        patched.setattr(outbox, "EMPTY_AFTER_S", 0.01)
        await alice.send("Hello")
        await asyncio.sleep(0.2)
    reply = await Reply.objects.aget()
    assert reply.outbox is not None
    await Reply.objects.aupdate(created_at=reply.created_at.replace(year=2020))
    worker = Worker()
    await worker._deliver_abandoned()
    await until_empty()
    assert len((await alice.transcript()).messages) == 2
