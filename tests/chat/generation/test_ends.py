"""Ends of replies that the database has and the log lacks are appended to the log."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone
from redis.asyncio import Redis

from billing import audit
from chat.generation import ends
from chat.models import Reply
from chat.sending.outbox import ANSWERS_QUEUE
from streams.keys import stream_keys
from streams.queue import get_queue
from tests.chat.websocket.socket_client import Socket
from tests.chat.workers import settled_row, working
from tests.fake_model import text_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
QUESTION = "[[tokens=30]] a"


@pytest.fixture
async def owner(no_worker, alice, monkeypatch):
    monkeypatch.setattr("chat.chores.ENDS_EVERY_S", 0.1)
    return alice


async def answered(owner):
    async with working():
        _, reply = await owner.send(QUESTION)
        await settled_row(reply)
        await owner.kept()
    return reply


async def lose(owner, settings, *kinds):
    """Delete the entries of these types from the log and from the chat's index."""
    names = stream_keys("hf", owner.stream)
    async with Redis.from_url(settings.REDIS_URL) as client:
        for key in (names.log, names.chat(owner.chat)):
            for entry, fields in await client.xrange(key):
                if fields[b"t"].decode() in kinds:
                    await client.xdel(key, entry)


async def until_ended(owner, reply):
    async with asyncio.timeout(20):
        while (await owner.transcript()).messages[reply].status in ("queued", "running"):
            await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        while await get_queue(ANSWERS_QUEUE).size():
            await asyncio.sleep(0.05)
    return (await owner.transcript()).messages[reply]


@pytest.mark.parametrize(
    ("state", "status"), [("done", "done"), ("stopped", "stopped"), ("failed", "error")]
)
async def test_an_end_that_the_log_lost_is_appended_again(owner, settings, state, status):
    reply = await answered(owner)
    await lose(owner, settings, "message.completed")
    await Reply.objects.filter(id=reply).aupdate(state=state)
    assert (await owner.transcript()).messages[reply].status == "running"
    async with Socket(owner) as socket:
        await socket.follow(owner.chat)
        async with working():
            message = await until_ended(owner, reply)
        # A connected browser receives the end, once.
        await socket.until(lambda _: socket.transcript(owner.chat).messages[reply].status == status)
    assert message.status == status
    kinds = [entry.type for entry in await owner.entries()]
    assert kinds.count("message.completed") + kinds.count("message.error") == 1
    assert (await Reply.objects.aget(id=reply)).state == state
    assert not (await audit.run()).differences


async def test_an_end_is_appended_although_the_log_lost_the_start_too(owner, settings):
    reply = await answered(owner)
    await lose(owner, settings, "message.completed", "message.started", "message.delta")
    async with working():
        assert (await until_ended(owner, reply)).status == "done"


async def test_the_end_before_a_continuation_does_not_count(owner, settings):
    async with working():
        _, reply = await owner.send("[[tokens=60&rate=30]] a")
        await owner.until(reply, lambda message: bool(message.text))
        for path in ("stop", "attempts"):
            await owner.post(f"/api/chats/{owner.chat}/replies/{reply}/{path}")
            await settled_row(reply)
    names = stream_keys("hf", owner.stream)
    async with Redis.from_url(settings.REDIS_URL) as client:
        last = (await client.xrevrange(names.chat(owner.chat), count=1))[0][0]
        for key in (names.log, names.chat(owner.chat)):
            await client.xdel(key, last)
    async with working():
        assert (await until_ended(owner, reply)).status in ("done", "stopped")


async def test_a_reply_whose_end_is_in_the_log_gets_no_second_one(owner):
    reply = await answered(owner)
    before = await owner.entries()
    await get_queue(ANSWERS_QUEUE).put(reply, b"")
    async with working():
        await until_ended(owner, reply)
    assert await owner.entries() == before
    assert str((await owner.transcript()).messages[reply].text) == text_of(QUESTION, 30)


async def test_each_end_is_checked_once_even_after_the_clock_was_set_back(owner, monkeypatch):
    reply = await answered(owner)
    checked = []
    has_end = ends._has_end

    async def note(log, row):
        checked.append(str(row.id))
        return await has_end(log, row)

    monkeypatch.setattr(ends, "_has_end", note)
    sweep = ends.EndSweep()
    for _ in range(3):  # All ends are within OVERLAP.
        await sweep.run()
    assert checked == [reply]
    # The clock had been an hour ahead; the next reply ended after it was corrected.
    sweep._after = timezone.now() + timedelta(hours=1)
    await Reply.objects.filter(id=reply).aupdate(finished_at=timezone.now() + timedelta(minutes=1))
    await sweep.run()
    assert checked == [reply, reply]


async def test_the_sweep_never_looks_further_back_while_nothing_ends(owner, monkeypatch):
    asked = []
    monkeypatch.setattr(ends, "_ended_after", lambda after: asked.append(after) or [])
    sweep = ends.EndSweep()
    for _ in range(3):
        await sweep.run()
    assert asked == sorted(asked)


async def test_the_sweep_reads_only_what_ended_lately(owner):
    now = timezone.now()
    old = {"chat_id": owner.chat, "state": "done", "finished_at": now - timedelta(days=1)}

    def plan():
        Reply.objects.bulk_create(
            Reply(id=uuid.uuid4(), prompt_id=uuid.uuid4(), **old) for _ in range(2_000)
        )
        query = Reply.objects.filter(finished_at__gt=now).order_by("finished_at")[:100]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE chat_reply")
        return query.explain()

    await answered(owner)
    assert "reply_ended" in await sync_to_async(plan)()
