"""Single reads from Redis are bounded, and so is what an event loop decodes at a time.

Redis itself counts what a script reads: the scripts run unchanged, behind a wrapper around
`redis.call` that records the bytes of each returned entry.
"""

import asyncio
import hashlib
from collections import Counter

import pytest
from redis.exceptions import ResponseError

from streams import log as log_module
from streams import reader
from streams.log import Event, Log

from .acts import STREAM, collect, event, ids, part, until

COUNTING = b"""
local real = redis
local run = real.call('INCR', 'test:runs')
local redis = setmetatable({call = function(name, ...)
  local reply = real.call(name, ...)
  if name == 'XRANGE' or name == 'XREVRANGE' then
    for _, entry in ipairs(reply) do
      for _, word in ipairs(entry[2]) do
        real.call('HINCRBY', 'test:read', run, #word)
      end
    end
  end
  return reply
end}, {__index = real})
"""
LARGE_BYTES = 300_000


@pytest.fixture
def bytes_read(monkeypatch, server):
    """The bytes that each run of a script read, in order. Request it before `log`."""
    for script in (reader.PAGE, reader.LAST, log_module.COMPACT, log_module.ERASE_CHAT):
        source = COUNTING + script.source
        digest = hashlib.sha1(source, usedforsecurity=False).hexdigest()
        monkeypatch.setattr(script, "source", source)
        monkeypatch.setattr(script, "digest", digest)

    def read() -> list[int]:
        with server.client() as client:
            sizes = client.hgetall("test:read")
            client.delete("test:read", "test:runs")
        return [int(size) for size in sizes.values()]

    return read


def large(number: int, chat: str = "c1", size: int = LARGE_BYTES) -> Event:
    return Event(f"l{number}", chat, "note", b'"%s"' % (b"x" * size))


def large_part(number: int) -> Event:
    data = b'"%s"' % (b"x" * LARGE_BYTES)
    return Event(f"lp{number}", "c1", "delta", data, part_of="r1")


async def test_a_page_reads_hardly_more_than_it_returns(bytes_read, log):
    await log.append(STREAM, [large(n) for n in range(9)])
    found, more = [], True
    while more:
        page, more = await log.read_page(STREAM, "c1", found[-1].id if found else None, 500)
        given_bytes = sum(len(entry.data) for entry in page)
        assert sum(bytes_read()) <= given_bytes + LARGE_BYTES + 1_000
        found += page
    assert ids(found) == ids(await log.read(STREAM))


@pytest.mark.parametrize("chat", ["c1", None])
async def test_long_entries_after_short_ones_stay_within_the_bound(bytes_read, log, chat):
    await log.append(STREAM, [event(n) for n in range(64)])
    await log.append(STREAM, [large(n) for n in range(12)])
    found = await log.read(STREAM, chat)
    assert len(found) == 76
    # At most three entries beyond the first one that does not fit.
    assert max(bytes_read()) <= reader.PAGE_BYTES + 4 * LARGE_BYTES


async def test_omitted_parts_count_towards_the_bound(bytes_read, log):
    await log.append(STREAM, [large_part(n) for n in range(12)] + [event("last")])
    assert [entry.type for entry in await log.read(STREAM, parts=False)] == ["note"]
    assert max(bytes_read()) <= reader.PAGE_BYTES + LARGE_BYTES + 1_000


async def test_the_end_of_a_chat_is_read_from_its_end(bytes_read, log):
    await log.append(STREAM, [large(n) for n in range(9)])
    appended = await log.append(STREAM, [event(n) for n in range(3)])
    assert ids(await log.read_last(STREAM, "c1", 24, 100_000)) == appended
    assert max(bytes_read()) <= 2 * LARGE_BYTES
    assert len(await log.read_last(STREAM, "c1", 2, 100_000)) == 2
    await log.append(STREAM, [large(n) for n in range(9, 18)])
    assert await log.read_last(STREAM, "c1", 24, 100_000) == []
    bytes_read()
    assert len(await log.read_last(STREAM, "c1", 24, 700_000)) == 2
    assert max(bytes_read()) <= 3 * LARGE_BYTES + 1_000


async def test_compacting_and_erasing_go_in_steps(bytes_read, log):
    await log.append(STREAM, [large_part(n) for n in range(9)] + [event(1), event(2, "c2")])
    await log.compact(STREAM, "c1", "r1")
    assert ids(await log.read(STREAM, "c1")) == [(await log.read(STREAM))[-2].id]
    assert max(bytes_read()) <= log_module.CHUNK_BYTES + LARGE_BYTES + 1_000
    await log.erase_chat(STREAM, "c1")
    assert max(bytes_read()) <= log_module.CHUNK_BYTES + LARGE_BYTES + 1_000
    assert [entry.chat for entry in await log.read(STREAM)] == ["c2"]


async def test_many_short_entries_fit_into_a_page(log):
    await log.append(STREAM, [part(n) for n in range(900)])
    page, more = await log.read_page(STREAM, "c1", None)
    assert (len(page), more) == (900, False)


async def test_followers_read_a_backlog_by_its_bytes(log, monkeypatch):
    """With many long entries at once, no reply has more than about a page."""
    sizes: list[int] = []
    submit = log._live_pipe.submit

    def noting(packed, replies=1):
        future = submit(packed, replies)
        future.add_done_callback(lambda done: sizes.append(_size(done.result())))
        return future

    monkeypatch.setattr(log._live_pipe, "submit", noting)
    following = asyncio.create_task(collect(log, 300, after="0-0"))
    await until(lambda: _is_ready(log), "the subscription")
    appended = await log.append(STREAM, [large(n, size=20_000) for n in range(300)])
    assert ids(await following) == appended
    assert max(sizes) <= reader.PAGE_BYTES * 1.1


async def _is_ready(log: Log) -> bool:
    followed = list(log._follower._followed.values())
    return bool(followed) and followed[0].ready.is_set()


def _size(reply: object) -> int:
    if isinstance(reply, list):
        return sum(map(_size, reply))
    return len(reply) if isinstance(reply, bytes) else 0


async def test_one_page_of_a_stream_and_a_few_of_all_are_read_at_once(log, monkeypatch):
    for number in range(8):
        await log.append(f"u:{number}", [event(n) for n in range(3)])
    under_way: Counter[str] = Counter()
    most = Counter()
    submit = log._read_pipe.submit

    def noting(packed, replies=1):
        stream = packed.partition(b"{u:")[2][:1].decode()
        under_way[stream] += 1
        most["stream"] = max(most["stream"], under_way[stream])
        most["all"] = max(most["all"], under_way.total())
        future = submit(packed, replies)
        future.add_done_callback(lambda _: under_way.subtract([stream]))
        return future

    monkeypatch.setattr(log._read_pipe, "submit", noting)
    reads = [log.read_page(f"u:{n % 8}", "c1", None) for n in range(64)]
    assert {len(page) for page, _ in await asyncio.gather(*reads)} == {3}
    assert most == {"stream": 1, "all": reader.PAGES_AT_ONCE}


async def test_cancelled_readers_do_not_block_others(log):
    await log.append(STREAM, [event(1)])
    reads = [asyncio.create_task(log.read_page(STREAM, "c1", None)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in reads[:15]:
        task.cancel()
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert [len(page) for page, _ in found[15:]] == [1] * 5
    assert not any(lock.locked() for lock in log._reader._locks.values())


async def test_slices_are_short_and_other_tasks_run_between_them(log):
    await log.append(STREAM, [part(n) for n in range(900)])
    await log.append(STREAM, [large(n, size=100_000) for n in range(12)])
    turns = 0
    given: list[tuple[int, int]] = []  # (turn, reader)

    async def heartbeat():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def go_through(name: int) -> list[str]:
        found: list[str] = []
        async for entries in log.slices(STREAM, "c1"):
            given.append((turns, name))
            assert len(entries) <= log_module.SLICE_ENTRIES
            assert sum(len(entry.data) for entry in entries) <= log_module.SLICE_BYTES
            found += ids(entries)
        return found

    beating = asyncio.create_task(heartbeat())
    everything = ids(await log.read(STREAM, "c1"))
    assert await asyncio.gather(*map(go_through, range(3))) == [everything] * 3
    beating.cancel()
    by_turn = Counter(turn for turn, _ in given)
    assert len(given) >= 3 * (900 // log_module.SLICE_ENTRIES + 6)
    # Hardly ever more than one slice in a turn of the loop; pages may arrive together.
    assert max(by_turn.values()) <= 2
    assert len(by_turn) >= len(given) * 0.8


@pytest.mark.parametrize("limit", [1, 2, 500])
async def test_a_chat_of_long_entries_and_parts_misses_nothing(log, monkeypatch, limit):
    """Its next entries are read without a script, but both streams still consistently."""
    monkeypatch.setattr(reader, "PAGE_BYTES", 1_000)
    for n in range(40):
        await log.append(STREAM, [large(n, size=400 + 40 * n), part(n)])
        if n % 7 == 0:
            await log.append(STREAM, [event(f"{n}-{m}") for m in range(30)])
    expected = await log.read(STREAM)
    found, more = [], True
    commands = []
    submit = log._read_pipe.submit
    monkeypatch.setattr(
        log._read_pipe,
        "submit",
        lambda packed, replies=1: (commands.append(replies), submit(packed, replies))[1],
    )
    while more:
        page, more = await log.read_page(STREAM, "c1", found[-1].id if found else None, limit)
        assert len(page) == 1 or sum(len(entry.data) for entry in page) <= 1_000
        assert len(page) <= limit
        found += page
    assert found == expected
    assert set(commands) == {1, 4}


async def test_an_unreadable_index_raises(log, server):
    await log.append(STREAM, [large(n, size=reader.PAGE_BYTES) for n in range(3)])
    page, more = await log.read_page(STREAM, "c1", None)
    assert (len(page), more) == (1, True)
    with server.client() as client:
        index = next(key for key in client.keys("*chat:c1"))
        client.set(index, "no stream")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await log.read_page(STREAM, "c1", page[0].id)
    assert await log.read(STREAM, limit=1)
