"""Each reply reaches its own request: late, fragmented, cut off or cancelled."""

import asyncio
import random
from contextlib import suppress

import pytest

from streams import pipe as pipes
from streams.errors import LogUnavailableError
from streams.log import Event, Log
from streams.pipe import PipelinedConnection
from streams.queue import Queue
from tests.late_redis import late_redis


@pytest.fixture(params=range(2))
def late(request, server, settings, monkeypatch):
    """A Redis many of whose replies exceed the timeout, so that requests are repeated."""
    monkeypatch.setattr(pipes, "RESPONSE_TIMEOUT_S", 0.05)
    with late_redis(server.url, request.param) as between:
        settings.REDIS_URL = between.url
        yield between


async def cancelled_now_and_then(work, dice):
    task = asyncio.create_task(work)
    if dice.random() < 0.4:
        await asyncio.sleep(dice.random() * 0.06)
        task.cancel()
    with suppress(asyncio.CancelledError, LogUnavailableError):
        return await task
    return None


async def test_each_request_gets_its_own_reply(late):
    dice, answered = random.Random(1), 0
    pipe = PipelinedConnection(late.url, timeout_ms=5_000)

    async def person(number):
        nonlocal answered
        for turn in range(25):
            mark = f"{number}-{turn}".encode()
            reply = await cancelled_now_and_then(pipe.execute("ECHO", mark), dice)
            assert reply in (mark, None)
            answered += reply is not None

    async with asyncio.timeout(60):
        await asyncio.gather(*map(person, range(40)))
    assert answered and late.late
    await pipe.aclose()


async def test_a_request_with_several_replies_shifts_no_other_reply(late):
    pipe = PipelinedConnection(late.url, timeout_ms=5_000)
    several = pipes.pack("MULTI") + pipes.pack("ECHO", "both") + pipes.pack("EXEC")
    refused = pipes.pack("MULTI") + pipes.pack("NO-SUCH") + pipes.pack("EXEC")

    async def person(number):
        for turn in range(10):
            mark = f"{number}-{turn}".encode()
            both, wrong, own = await asyncio.gather(
                pipe.submit(several, 3),
                pipe.submit(refused, 3),
                pipe.execute("ECHO", mark),
                return_exceptions=True,
            )
            assert both == [b"both"] and own == mark
            assert isinstance(wrong, Exception)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(person, range(10)))
    await pipe.aclose()


async def test_closing_the_connection_at_any_moment_gives_no_wrong_reply(late):
    dice = random.Random(2)
    for round_number in range(30):
        pipe = PipelinedConnection(late.url, timeout_ms=5_000)
        marks = [f"{round_number}-{n}".encode() for n in range(20)]
        asked = [asyncio.ensure_future(pipe.execute("ECHO", mark)) for mark in marks]
        await asyncio.sleep(dice.random() * 0.05)
        await pipe.aclose()
        for mark, reply in zip(marks, asked, strict=True):
            with suppress(LogUnavailableError):
                assert await reply == mark


async def test_cancelling_the_connections_task_gives_no_wrong_reply(late):
    """As at the end of an event loop, while others still append."""
    dice = random.Random(5)
    pipe = PipelinedConnection(late.url, timeout_ms=5_000)
    async with asyncio.timeout(60):
        for turn in range(30):
            marks = [f"{turn}-{n}".encode() for n in range(20)]
            asked = [asyncio.ensure_future(pipe.execute("ECHO", mark)) for mark in marks[:10]]
            await asyncio.sleep(dice.random() * 0.01)
            [running] = [t for t in asyncio.all_tasks() if t.get_name() == "streams-pipe"]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            asked += [asyncio.ensure_future(pipe.execute("ECHO", mark)) for mark in marks[10:]]
            assert await asyncio.gather(*asked) == marks
    await pipe.aclose()


async def test_everybody_reads_and_follows_their_own_log(late, settings):
    dice = random.Random(3)

    async def person(number, log):
        stream, chat = f"person-{number}", f"chat-{number}"
        for turn in range(6):
            data = b'{"mark":"%d-%d"}' % (number, turn)
            event = Event(id=f"{number}:{turn}", chat=chat, type="t", data=data)
            await log.append(stream, [event])
            entries = await cancelled_now_and_then(log.read(stream, chat=chat), dice)
            for entry in entries or ():
                assert entry.data.startswith(b'{"mark":"%d-' % number)

    async def follower(number, log):
        seen = 0
        async for batch in log.follow_batches(f"person-{number}", after=None):
            for entry in batch.entries:
                assert entry.data.startswith(b'{"mark":"%d-' % number)
                assert b'"%d-' % number in batch.frame.encode()
                seen += 1
            if seen == 6:
                return

    async with asyncio.timeout(90), Log() as log:
        people = range(20)
        await asyncio.gather(*(person(n, log) for n in people), *(follower(n, log) for n in people))
        late.calm = True


async def test_a_cancelled_wait_for_work_leaves_no_reply_behind(late):
    async with asyncio.timeout(60), Queue("test") as queue:
        dice = random.Random(4)
        for turn in range(30):
            waiting = asyncio.create_task(queue.wait(40))
            await asyncio.sleep(dice.random() * 0.05)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await queue.put(f"job-{turn}", b"%d" % turn)
            for job in await queue.claim("me", 10):
                assert job.key == f"job-{job.payload.decode()}"
                await queue.done(job)
