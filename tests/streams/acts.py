"""Helpers for the tests of the log and the queue."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from streams.log import Entry, Event, Log

STREAM = "u:alice"
PATIENCE_S = 15.0


def event(number: int | str, chat: str = "c1", *, whole: str | None = None) -> Event:
    data = f'{{"type":"note","n":"{number}"}}'.encode()
    return Event(f"e{number}", chat, "note", data, whole=None if whole is None else whole.encode())


def part(number: int | str, chat: str = "c1", of: str = "r1") -> Event:
    return Event(f"p{number}", chat, "delta", f'{{"n":"{number}"}}'.encode(), part_of=of)


async def collect(
    log: Log,
    count: int,
    *,
    stream: str = STREAM,
    chat: str | None = None,
    after: str | None = None,
) -> list[Entry]:
    """The first `count` entries that a follower receives."""
    entries: list[Entry] = []
    following = log.follow_batches(stream, chat, after)
    async with asyncio.timeout(PATIENCE_S), aclosing(following) as batches:
        async for batch in batches:
            entries += batch.entries
            if len(entries) >= count:
                break
    return entries[:count]


async def until(holds: Callable[[], Awaitable[object]], what: str) -> None:
    """Wait until `holds` returns a true value; fails after PATIENCE_S."""
    give_up = time.monotonic() + PATIENCE_S
    while not await holds():
        assert time.monotonic() < give_up, f"timed out waiting for {what}"
        await asyncio.sleep(0.005)


def ids(entries: list[Entry]) -> list[str]:
    return [entry.id for entry in entries]
