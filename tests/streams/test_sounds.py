"""Sound beside the log: appended once under a fence, read from any byte, followed to its end."""

import asyncio
import random

import pytest

from streams.errors import FencedError, StreamsError
from streams.log import Fence, Log
from streams.sound.sounds import KEPT_MS, MAX_ENTRY_BYTES, Piece

STREAM, NAME = "u:alice", "f1"
FENCE = Fence("r1", 3)
SOUND = random.Random(1).randbytes(50_000)


async def speak(log, sound=SOUND, size=3_000, fence=FENCE):
    for at in range(0, len(sound), size):
        data = sound[at : at + size]
        await log.sounds.append(STREAM, NAME, Piece(at + len(data), data, 1, 0), fence)


async def heard(log, position=0):
    pieces = [piece async for piece in log.sounds.follow(STREAM, NAME, position)]
    return b"".join(pieces)


async def whole(log):
    sound = b""
    while pieces := await log.sounds.read(STREAM, NAME, len(sound)):
        sound += b"".join(piece.data for piece in pieces)
    return sound


async def test_it_is_read_from_every_byte(log):
    await log.raise_fence(STREAM, FENCE)
    await speak(log)
    await log.sounds.close(STREAM, NAME)
    for position in (0, 1, 2_999, 3_000, 3_001, 49_998, 49_999, 50_000):
        assert await heard(log, position) == SOUND[position:], position
    assert await whole(log) == SOUND


async def test_it_is_followed_while_it_is_made(log):
    await log.raise_fence(STREAM, FENCE)
    listening = [asyncio.create_task(heard(log, position)) for position in (0, 1, 20_001)]
    await asyncio.sleep(0.05)
    await speak(log)
    await log.sounds.close(STREAM, NAME)
    async with asyncio.timeout(10):
        assert await asyncio.gather(*listening) == [SOUND, SOUND[1:], SOUND[20_001:]]


async def test_a_repetition_adds_nothing_and_a_gap_is_refused(log):
    await log.raise_fence(STREAM, FENCE)
    first, second = Piece(4, b"abcd", 1, 0), Piece(6, b"ef", 2, 4)
    for piece in (first, first, second, first, second):
        await log.sounds.append(STREAM, NAME, piece, FENCE)
    assert await log.sounds.read(STREAM, NAME) == [first, second]
    assert await log.sounds.last(STREAM, NAME) == second
    for wrong in (Piece(9, b"i", 2, 4), Piece(8, b"efgh", 2, 4)):
        with pytest.raises(StreamsError):
            await log.sounds.append(STREAM, NAME, wrong, FENCE)
    assert await whole(log) == b"abcdef"


async def test_only_the_holder_of_the_fence_appends(log):
    await log.raise_fence(STREAM, FENCE)
    await log.sounds.append(STREAM, NAME, Piece(2, b"ab", 1, 0), FENCE)
    await log.raise_fence(STREAM, Fence("r1", 4))
    with pytest.raises(FencedError):
        await log.sounds.append(STREAM, NAME, Piece(4, b"cd", 1, 0), FENCE)
    assert await whole(log) == b"ab"


async def test_nothing_follows_what_is_closed(log):
    await log.raise_fence(STREAM, FENCE)
    await log.sounds.append(STREAM, NAME, Piece(2, b"ab", 1, 0), FENCE)
    for _ in range(2):
        await log.sounds.close(STREAM, NAME)
    with pytest.raises(StreamsError):
        await log.sounds.append(STREAM, NAME, Piece(4, b"cd", 1, 0), FENCE)
    # The last piece is known, also behind the mark of the end.
    assert (await log.sounds.last(STREAM, NAME)).end == 2
    # One without any sound ends as well.
    await log.sounds.close(STREAM, "f2")
    assert [piece async for piece in log.sounds.follow(STREAM, "f2")] == []
    assert await log.sounds.last(STREAM, "f2") is None


async def test_it_is_erased_by_itself_with_the_log_and_in_the_end(log, server):
    await log.raise_fence(STREAM, FENCE)
    await speak(log)
    with server.client() as client:
        [key] = client.keys("*speech*")
        assert 0 < client.pttl(key) <= KEPT_MS
        await log.sounds.erase(STREAM, NAME)
        assert client.keys("*speech*") == client.keys("*sounds") == []
        await speak(log)
        await log.erase(STREAM)
        assert client.keys("*") == []


async def test_a_listener_survives_a_restart_of_redis(make_server):
    server = make_server()
    async with Log() as log:
        await log.raise_fence(STREAM, FENCE)
        listening = asyncio.create_task(heard(log))
        await speak(log, SOUND[:30_000])
        await asyncio.to_thread(server.kill)
        speaking = asyncio.create_task(speak(log))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(20):
            await speaking
            await log.sounds.close(STREAM, NAME)
            assert await listening == SOUND


def test_a_reader_holds_little():
    assert MAX_ENTRY_BYTES * 4 <= 128_000
