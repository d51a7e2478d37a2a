import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams import reader
from streams.cursors import order
from streams.errors import InvalidCursorError, InvalidNameError
from streams.keys import stream_keys
from streams.log import Event, Fence, FencedError, Log, close_log, get_log
from tests.examples import examples

from .acts import STREAM, event, ids, part


async def test_append_returns_the_ids_that_read_gives(log):
    appended = await log.append(STREAM, [event(1), event(2, "c2"), part(3)])
    entries = await log.read(STREAM)
    assert ids(entries) == appended
    assert [e.chat for e in entries] == ["c1", "c2", "c1"]
    assert [e.type for e in entries] == ["note", "note", "delta"]
    assert [e.part for e in entries] == [False, False, True]
    assert entries[0].data == event(1).data
    assert await log.tail(STREAM) == appended[-1]


async def test_an_empty_stream_reads_as_empty(log):
    assert await log.read(STREAM) == []
    assert await log.tail(STREAM) == "0-0"
    assert await log.append(STREAM, []) == []


async def test_data_is_kept_byte_for_byte(log):
    data = bytes(range(256)) + "🙂\r\n$5\r\n".encode()
    await log.append(STREAM, [Event("e1", "c1", "t", data, whole=data[::-1])])
    assert (await log.read(STREAM))[0].data == data
    assert (await log.read(STREAM, "c1"))[0].data == data[::-1]


async def test_read_pages_through_more_than_one_page(log):
    appended: list[str] = []
    for start in range(0, 2500, 500):
        appended += await log.append(STREAM, [event(n) for n in range(start, start + 500)])
    assert ids(await log.read(STREAM)) == appended
    assert ids(await log.read(STREAM, "c1")) == appended
    assert ids(await log.read(STREAM, after=appended[1200], limit=1100)) == appended[1201:2301]
    assert await log.read(STREAM, limit=0) == []


@pytest.mark.parametrize(
    ("limit", "max_bytes"), [(1, 10**6), (7, 10**6), (500, 60), (40, 500), (500, 1)]
)
async def test_pages_of_wholes_and_parts_together_miss_nothing(log, monkeypatch, limit, max_bytes):
    """Parts and other entries are in two streams: a page ends where the shorter read ends."""
    monkeypatch.setattr(reader, "PAGE_BYTES", max_bytes)
    await log.append(STREAM, [part(n) if n % 5 < 3 else event(n) for n in range(120)])
    await log.append(
        STREAM, [event("large", whole='"' + "x" * 700 + '"'), *map(part, range(200, 260))]
    )
    expected = await log.read(STREAM, "c1")
    assert len(expected) == 181
    found, more = [], True
    while more:
        page, more = await log.read_page(STREAM, "c1", found[-1].id if found else None, limit)
        assert len(page) <= limit
        assert len(page) == 1 or sum(len(entry.data) for entry in page) <= max_bytes
        assert page or not more
        found += page
    assert found == expected
    whole = [entry.id for entry in await log.read(STREAM, parts=False)]
    assert whole == [entry.id for entry in expected if not entry.part]


async def test_reading_ends_soon_after_max_bytes(log, monkeypatch):
    monkeypatch.setattr(reader, "PAGE_BYTES", 100)
    await log.append(STREAM, [event(n) for n in range(50)])
    found = await log.read(STREAM, parts=False, max_bytes=300)
    assert 300 < sum(len(entry.data) for entry in found) <= 400
    assert ids(found) == ids(await log.read(STREAM))[: len(found)]


async def test_read_without_parts(log):
    await log.append(STREAM, [part(n) for n in range(900)])
    whole = await log.append(STREAM, [event(1), event(2)])
    await log.append(STREAM, [part(n) for n in range(900, 1800)])
    whole += await log.append(STREAM, [event(3)])
    assert ids(await log.read(STREAM, parts=False)) == whole
    assert ids(await log.read(STREAM, parts=False, limit=2)) == whole[:2]
    assert ids(await log.read(STREAM, "c1", parts=False)) == whole


@pytest.mark.parametrize("after", ["", "x", "1-", "-1", "1-2-3", "9" * 20, "1 OR 1", "(1-1", "$"])
async def test_an_invalid_cursor_is_refused(log, after):
    with pytest.raises(InvalidCursorError):
        await log.read(STREAM, after=after)


@pytest.mark.parametrize("name", ["", "a}b", "a{b", "a b", "a\n", 'a"b', "é", "x" * 201])
async def test_a_name_that_could_move_a_key_is_refused(log, name):
    with pytest.raises(InvalidNameError):
        await log.append(name, [event(1)])
    with pytest.raises(InvalidNameError):
        await log.append(STREAM, [event(1, name)])
    with pytest.raises(InvalidNameError):
        await log.append(STREAM, [Event(name, "c1", "t", b"{}")])


# Repetitions


async def test_repeated_events_return_their_first_ids(log):
    events = [event(1), part(1), event(2, whole='{"all":1}'), part(2)]
    first = await log.append(STREAM, events)
    assert await log.append(STREAM, events) == first
    # This also holds in other groups, and together with new events.
    assert (await log.append(STREAM, [events[3], part(3), events[0]]))[::2] == [first[3], first[0]]
    assert len(await log.read(STREAM)) == 5


async def test_concurrent_repetitions_append_once(log):
    found = await asyncio.gather(*(log.append(STREAM, [event(1), part(1)]) for _ in range(20)))
    assert len({tuple(f) for f in found}) == 1
    assert len(await log.read(STREAM)) == 2


async def test_an_id_twice_in_one_append_is_one_entry(log):
    first, second = await log.append(STREAM, [event(1), event(1)])
    assert first == second
    assert len(await log.read(STREAM)) == 1


async def test_ids_of_parts_expire_with_the_parts_and_those_of_wholes_do_not(log, server):
    names = stream_keys("hf", STREAM)
    with server.client() as client:
        await log.append(STREAM, [event(1), part(1)])
        # While the parts exist, their ids do not expire.
        assert client.ttl(names.ids) == client.ttl(names.part_ids("c1")) == -1
        await log.compact(STREAM, "c1", "r1")
        assert client.ttl(names.ids) == -1
        assert 0 < client.pttl(names.part_ids("c1")) <= 60_000
        # The next answer of the chat cancels the expiry.
        await log.append(STREAM, [part(2)])
        assert client.ttl(names.part_ids("c1")) == -1


async def test_a_repeated_part_is_dropped_after_its_whole_is_compacted(log):
    """It was in transit on a connection that its sender had abandoned."""
    first = await log.append(STREAM, [part(1)])
    await log.compact(STREAM, "c1", "r1")
    assert await log.append(STREAM, [part(1)]) == first


# Fences


async def test_a_fence_lets_only_its_token_append(log):
    await log.raise_fence(STREAM, Fence("r1", 5))
    await log.append(STREAM, [part(1)], Fence("r1", 5))
    await log.raise_fence(STREAM, Fence("r1", 6))
    for stale in (5, 7):
        with pytest.raises(FencedError) as refused:
            await log.append(STREAM, [part(2)], Fence("r1", stale))
        assert refused.value.token == 6
    await log.append(STREAM, [part(3)], Fence("r1", 6))
    assert [e.data for e in await log.read(STREAM)] == [part(1).data, part(3).data]


async def test_an_append_without_a_raised_fence_is_refused(log):
    with pytest.raises(FencedError) as refused:
        await log.append(STREAM, [part(1)], Fence("r1", 1))
    assert refused.value.token == 0
    assert await log.read(STREAM) == []


async def test_a_fence_only_rises_and_may_be_raised_again(log):
    await log.raise_fence(STREAM, Fence("r1", 10))
    await log.raise_fence(STREAM, Fence("r1", 10))
    with pytest.raises(FencedError):
        await log.raise_fence(STREAM, Fence("r1", 9))  # compared as numbers, not as text
    await log.raise_fence(STREAM, Fence("r2", 1))


async def test_a_late_writer_cannot_raise_its_fence_after_its_successor_is_done(log):
    await log.raise_fence(STREAM, Fence("r1", 2))
    await log.append(STREAM, [event("done")], Fence("r1", 2))
    await log.compact(STREAM, "c1", "r1")
    with pytest.raises(FencedError):
        await log.raise_fence(STREAM, Fence("r1", 1))


async def test_a_refused_append_does_not_affect_others_of_its_round_trip(log):
    """All are sent in one round trip; only the refused one raises."""
    await log.raise_fence(STREAM, Fence("r1", 2))
    calls = [log.append(STREAM, [part(n)], Fence("r1", 1 if n == 5 else 2)) for n in range(10)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(f, FencedError) for f in found] == [n == 5 for n in range(10)]
    assert len(await log.read(STREAM)) == 9


async def test_no_former_writer_appends_after_the_fence_was_raised(log):
    """Old and new writer race; in the log, the old one ends where the new one starts."""
    await log.raise_fence(STREAM, Fence("r1", 1))

    async def write(token: int, count: int) -> int:
        for n in range(count):
            try:
                await log.append(STREAM, [part(f"{token}-{n}")], Fence("r1", token))
            except FencedError:
                return n
        return count

    old = asyncio.create_task(write(1, 10_000))
    while len(await log.read(STREAM)) < 20:
        await asyncio.sleep(0)
    async with Log() as successor:
        await successor.raise_fence(STREAM, Fence("r1", 2))
        stood_at = len(await log.read(STREAM))
        assert await write(2, 20) == 20
    assert await old == stood_at
    writers = [json.loads(e.data)["n"].partition("-")[0] for e in await log.read(STREAM)]
    assert writers == ["1"] * stood_at + ["2"] * 20


# The chat's own index


async def test_compacting_leaves_the_whole_and_the_log_as_it_was(log):
    await log.append(STREAM, [event(1)])
    parts = await log.append(STREAM, [part(n) for n in range(700)])
    others = await log.append(STREAM, [part("x", of="r2"), part("y", chat="c2")])
    await log.append(STREAM, [event(2, whole='{"text":"all"}')])
    before = await log.read(STREAM)
    for _ in range(2):
        await log.compact(STREAM, "c1", "r1")
        assert await log.read(STREAM) == before
        entries = await log.read(STREAM, "c1")
        assert [e.data for e in entries[:2]] == [event(1).data, part("x").data]
        assert entries[2].data == b'{"text":"all"}'
        assert len(entries) == 3
    assert ids(await log.read(STREAM, "c2")) == [others[1]]
    # The whole is read from before, inside and after the removed parts.
    for after in (None, parts[0], parts[350], parts[-1]):
        assert (await log.read(STREAM, "c1", after))[-1].data == b'{"text":"all"}'


async def test_compacting_frees_the_memory_of_the_parts(log, server):
    await log.append(STREAM, [part(n) for n in range(30)])
    await log.append(STREAM, [event(1, whole="{}")])
    await log.compact(STREAM, "c1", "r1")
    with server.client() as client:
        assert not client.exists(stream_keys("hf", STREAM).live("c1"))


async def test_compacting_up_to_an_entry_keeps_the_parts_after_it(log):
    """A failed answer that is continued has new parts when the old ones are removed."""
    await log.append(STREAM, [part(n) for n in range(700)])
    failed = await log.append(STREAM, [event("failed", whole='{"kept":1}')])
    later = await log.append(STREAM, [part(n) for n in range(700, 710)])
    await log.compact(STREAM, "c1", "r1", until=failed[0])
    assert ids(await log.read(STREAM, "c1")) == failed + later


async def test_concurrent_compacting_is_harmless(log):
    await log.append(STREAM, [part(n, of=f"r{n % 2}") for n in range(1000)])
    async with Log() as other:
        await asyncio.gather(
            *(one.compact(STREAM, "c1", whole) for one in (log, other) for whole in ("r0", "r1"))
        )
    assert await log.read(STREAM, "c1") == []


step = st.one_of(
    st.tuples(st.just("note"), st.sampled_from("abc"), st.booleans()),
    st.tuples(st.just("part"), st.sampled_from("abc"), st.sampled_from("xyz")),
    st.tuples(st.just("compact"), st.sampled_from("abc"), st.sampled_from("xyz")),
    st.tuples(st.just("again"), st.integers(0, 50), st.none()),
)


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(step, max_size=40))
def test_the_index_of_a_chat_is_the_log_filtered(server, steps):
    asyncio.run(_compare_index_with_log(server, steps))


async def _compare_index_with_log(server, steps) -> None:
    with server.client() as client:
        client.flushall()
    appended: list[tuple[str, Event]] = []
    gone: set[str] = set()
    async with Log() as log:
        for number, (what, chat, arg) in enumerate(steps):
            if what == "compact":
                await log.compact(STREAM, chat, arg)
                gone |= {i for i, e in appended if e.chat == chat and e.part_of == arg}
            elif what == "again":
                if appended:
                    entry_id, old = appended[chat % len(appended)]
                    assert await log.append(STREAM, [old]) == [entry_id]
            else:
                new = part(number, chat, arg) if what == "part" else event(number, chat)
                if what == "note" and arg:
                    new = event(number, chat, whole=f'{{"whole":{number}}}')
                appended.append(((await log.append(STREAM, [new]))[0], new))
        assert [(e.id, e.data) for e in await log.read(STREAM)] == [
            (i, e.data) for i, e in appended
        ]
        for chat in "abc":
            expected = [
                (i, e.whole or e.data) for i, e in appended if e.chat == chat and i not in gone
            ]
            for start in range(len(expected) + 1):
                after = expected[start - 1][0] if start else None
                found = await log.read(STREAM, chat, after, limit=1000)
                assert [(e.id, e.data) for e in found] == expected[start:]
            paged: list[str] = []
            while page := await log.read(STREAM, chat, paged[-1] if paged else None, limit=3):
                paged += ids(page)
            assert paged == [i for i, _ in expected]


async def test_reading_a_chat_that_is_written_and_compacted_meanwhile_misses_nothing(log):
    """A reader that follows an answer by cursor has every part or the whole at the end."""
    finished = False

    async def write() -> None:
        nonlocal finished
        for n in range(300):
            await log.append(STREAM, [event(n)] if n % 10 == 0 else [part(n)])
        await log.append(STREAM, [event("end", whole='{"whole":1}')])
        await log.compact(STREAM, "c1", "r1")
        finished = True

    writing = asyncio.create_task(write())
    found: list[str] = []
    async with Log() as other:
        while True:
            ended = finished
            page = await other.read(STREAM, "c1", found[-1] if found else None, limit=7)
            found += ids(page)
            if ended and not page:
                break
    await writing
    assert found == sorted(set(found), key=order)
    structural = ids(await log.read(STREAM, parts=False))
    assert set(structural) <= set(found)


# Erasing


async def test_erasing_a_chat_leaves_the_others(log):
    await log.append(STREAM, [event(n, f"c{n % 2}") for n in range(1000)])
    await log.append(STREAM, [part(1, "c1")])
    await log.erase_chat(STREAM, "c1")
    assert await log.read(STREAM, "c1") == []
    assert {e.chat for e in await log.read(STREAM)} == {"c0"}
    assert len(await log.read(STREAM, "c0")) == 500


async def test_erasing_a_stream_leaves_no_key(log, server):
    await log.raise_fence(STREAM, Fence("r1", 1))
    await log.append(STREAM, [event(n, f"c{n}") for n in range(30)])
    await log.append(STREAM, [part(n, f"c{n}") for n in range(30)])
    await log.append("u:bob", [event(1)])
    await log.erase(STREAM)
    with server.client() as client:
        assert {key.split(b"}")[0] for key in client.scan_iter()} == {b"hf:{u:bob"}


# One log per loop


def test_every_loop_has_its_own_log(server):
    async def use() -> int:
        log = get_log()
        assert get_log() is log
        await log.append(STREAM, [event(1)])
        await close_log()
        await close_log()
        return id(log)

    asyncio.run(use())
    asyncio.run(use())


async def test_closing_leaves_no_task_behind(server):
    before = asyncio.all_tasks()
    async with Log() as log:
        await log.append(STREAM, [event(1)])
        follower = log.follow_batches(STREAM)
        assert (await anext(follower)).chat == "c1"
        await follower.aclose()
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before
