"""Measures the speed of appends, and the memory of the log in Redis."""

import asyncio
import time
import uuid
from typing import Any

import redis.asyncio

from chat import events as ev
from streams.log import Event, Log
from tests.bench.bench import Bench
from tests.bench.people import Person, crowd, start_answers
from tests.bench.report import Row

CHUNKS = 100
WORDS_A_CHUNK = 3  # about 20 characters
SCRIPT = {"mode": "words", "per_chunk": WORDS_A_CHUNK}
WRITERS = (1, 10, 100)


async def appends(bench: Bench) -> None:
    """Measures durable appends per second; each writer waits for its previous append."""
    for writers in WRITERS:
        async with bench.log() as log:
            speed = await _appends(log, writers, 0.5 if bench.quick else 1.5)
        bench.rows.append(Row("appends", f"{writers} writers", speed, "1/s"))


async def _appends(log: Log, writers: int, seconds: float) -> float:
    streams = [f"bench-{uuid.uuid4().hex}" for _ in range(writers)]
    done = 0
    end = time.monotonic() + seconds

    async def write(stream: str) -> None:
        nonlocal done
        number = 0
        while time.monotonic() < end:
            number += 1
            await log.append(stream, [delta(str(uuid.uuid4()), f"{stream}:{number}", " word")])
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(write(stream) for stream in streams))
    speed = done / (time.monotonic() - began)
    for stream in streams:
        await log.erase(stream)
    return speed


def delta(chat: str, event_id: str, text: str, message: str = "") -> Event:
    event = ev.MessageDelta(message=message or chat, text=text)
    return ev.log_event(chat, event, event_id)


async def storage(bench: Bench) -> None:
    """Measures Redis memory and bytes on the wire for 50 chunks of about 20 characters a second."""
    count = 2 if bench.quick else 10
    async with (
        redis.asyncio.Redis.from_url(bench.redis_url) as client,
        crowd(bench.url, count) as people,
    ):
        before, ids_before = await _kept(client), await _ids_of_parts(client)
        received = await _answers(people)
        chunks = CHUNKS * count
        grown = await _kept(client) - before
        ids = await _ids_of_parts(client) - ids_before
        deltas = sum(person.deltas for person in people)
    async with crowd(bench.url, count, deflate=False) as people:
        plain = await _answers(people)
    bench.details["storage"] = {"chunks": chunks, "deltas": deltas, "ids_of_parts_bytes": ids}
    bench.rows += [
        Row("storage", "Redis, per 1,000 tokens stored", grown / chunks, "kB"),
        Row("storage", "Redis, ids of parts (kept 1-2 min)", ids / chunks, "kB"),
        Row("wire", "bytes per token of 20 characters", received / chunks, "B", 200, 60),
        Row("wire", "bytes per token, uncompressed", plain / chunks, "B"),
    ]


async def _answers(people: list[Person]) -> int:
    """Returns the bytes that the sockets received for one answer each."""
    await asyncio.sleep(0.3)
    sockets = [person.socket for person in people if person.socket]
    before = sum(socket.received for socket in sockets)
    await start_answers(people, CHUNKS * WORDS_A_CHUNK, 50 * WORDS_A_CHUNK, **SCRIPT)
    await asyncio.gather(*(person.settled() for person in people))
    await asyncio.sleep(0.3)  # what comes after the end: compaction, other frames
    return sum(socket.received for socket in sockets) - before


async def _kept(client: Any) -> int:
    """Returns the bytes of all logs and chat indexes, without the ids of parts, which expire."""
    keys = [key async for key in client.scan_iter("hf:{u:*", count=1000) if b":parts:" not in key]
    return sum([await client.memory_usage(key, samples=0) or 0 for key in keys])


async def _ids_of_parts(client: Any) -> int:
    keys = [key async for key in client.scan_iter("*:parts:*", count=1000)]
    return sum([await client.memory_usage(key, samples=0) or 0 for key in keys])
