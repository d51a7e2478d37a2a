"""The counted bytes of a log, and reservations, on a real Redis."""

import asyncio

import pytest

from streams import sizes
from streams.entries import Event
from streams.errors import LogUnavailableError
from streams.keys import stream_keys
from streams.log import Fence, FencedError, Log
from streams.sizes import INDEX_ENTRY_BYTES, KNOWN_ID_BYTES, LOG_ENTRY_BYTES, Claim, claim_for

from .acts import STREAM, event, part

NAMES = stream_keys("hf", STREAM)


def text(number, chat="c1", size=1_000):
    return Event(f"t{number}", chat, "note", b'"%s"' % (b"x" * size))


async def counted(log):
    """Every field of `sizes`, compared with a new count of the log."""
    kept = await log._read_pipe.execute("HGETALL", NAMES.sizes)
    fields = dict(zip(kept[::2], map(int, kept[1::2]), strict=True))
    await log._read_pipe.execute("UNLINK", NAMES.sizes)
    assert await log.sizes.count(STREAM)
    again = await log._read_pipe.execute("HGETALL", NAMES.sizes)
    assert dict(zip(again[::2], map(int, again[1::2]), strict=True)) == fields
    return fields


async def test_an_append_counts_what_is_stored_in_the_log_and_in_the_index(log):
    events = [text(1), event("end", whole='{"whole":"long"}')]
    await log.append(STREAM, [*events, part(1)])
    claim = claim_for("m", "c1", events)
    size = await log.sizes.of(STREAM, "c1")
    assert size.is_whole
    assert size.total == claim.total + len(part(1).data) + LOG_ENTRY_BYTES
    assert size.chat == claim.in_index == 1_002 + 16 + 2 * INDEX_ENTRY_BYTES
    assert claim.total > 2 * 1_002 + 2 * KNOWN_ID_BYTES


async def test_what_is_not_appended_is_not_counted(log):
    await log.append(STREAM, [text(1)])
    before = await log.sizes.of(STREAM, "c1")
    await log.append(STREAM, [text(1), text(1)])  # A repeated entry is dropped by its id.
    await log.raise_fence(STREAM, Fence("r1", 2))
    with pytest.raises(FencedError):
        await log.append(STREAM, [text(2)], fence=Fence("r1", 1))
    assert await log.sizes.of(STREAM, "c1") == before


async def test_the_count_is_about_the_memory_that_it_takes(log, server):
    chat, name = "c" * 36, "e" * 70
    for start in range(0, 2_000, 500):
        numbers = range(start, start + 500)
        data = b'"%s"' % (b"x" * 90)
        await log.append(STREAM, [Event(f"{name}{n}", chat, "note", data) for n in numbers])
        await log.append(STREAM, [Event(f"{n}", chat, "note", data, part_of="r") for n in numbers])
    await log.compact(STREAM, chat, "r")
    with server.client() as client:
        keys = (NAMES.log, NAMES.ids, NAMES.chat(chat))
        held = sum(client.memory_usage(key, samples=0) for key in keys)
    assert 0.8 < (await log.sizes.of(STREAM)).total / held < 1.25


async def test_erasing_a_chat_removes_its_counted_bytes(log):
    await log.append(STREAM, [text(f"kept{n}", "kept") for n in range(700)])
    kept = (await log.sizes.of(STREAM)).total
    # A chat that is written again after it was erased is counted like the first time.
    for _ in range(2):
        await log.append(STREAM, [text(n, "gone") for n in range(700)])
        await log.append(STREAM, [part(n, "gone") for n in range(700)])
        await log.erase_chat(STREAM, "gone")
        await log.erase_chat(STREAM, "gone")
        size = await log.sizes.of(STREAM, "gone")
        assert (size.total, size.chat) == (kept, 0)
    # The ids of other chats remain known.
    await log.append(STREAM, [text(f"kept{n}", "kept") for n in range(700)])
    assert (await log.sizes.of(STREAM)).total == kept
    assert await log._read_pipe.execute("HLEN", NAMES.ids) == 700


@pytest.mark.parametrize("step", range(3))
async def test_interrupted_erasing_can_be_continued(log, monkeypatch, step):
    await log.append(STREAM, [text(n, f"c{n % 2}") for n in range(1_000)])
    submit, calls = log._read_pipe.submit, iter(range(100))

    def cut(packed, *args):
        if next(calls) == step + 1:  # The first call checks whether all is counted.
            raise LogUnavailableError("cut short")
        return submit(packed, *args)

    with monkeypatch.context() as patch:
        patch.setattr(log._read_pipe, "submit", cut)
        with pytest.raises(LogUnavailableError):
            await log.erase_chat(STREAM, "c1")
    await log.erase_chat(STREAM, "c1")
    assert await log._read_pipe.execute("HLEN", NAMES.ids) == 500
    assert set(await counted(log)) == {b"total", b"i:c0", b"l:c0"}


async def test_erasing_a_person_leaves_no_count(log):
    await log.append(STREAM, [text(1)])
    await log.sizes.reserve(STREAM, Claim("m", "c1", 10, 5), most=0, most_of_chat=0)
    await log.erase(STREAM)
    assert (await log.sizes.of(STREAM, "c1")) == sizes.Size(0, 0, True)
    assert not await log._read_pipe.execute("EXISTS", NAMES.coming)
    await log.append(STREAM, [text(1)])
    assert (await counted(log))[b"total"] == claim_for("m", "c1", [text(1)]).total


async def test_a_full_redis_refuses_nothing_that_erases(log, server):
    await log.append(STREAM, [text(n, "gone") for n in range(700)])
    with server.client() as client:
        client.config_set("maxmemory", 1_000_000)
        try:
            async with asyncio.timeout(10):
                await log.erase_chat(STREAM, "gone")
        finally:
            client.config_set("maxmemory", 0)
    assert (await log.sizes.of(STREAM)).total == 0


# A log that an earlier release wrote


async def old_log(log, chats=3, entries=40):
    """A log without sizes; returns what they should be."""
    for n in range(entries):
        chat = f"c{n % chats}"
        await log.append(STREAM, [text(n, chat), part(n, chat), event(n, chat, whole='"w"')])
    fields = await counted(log)
    await log._read_pipe.execute("UNLINK", NAMES.sizes)
    return fields


async def test_an_old_log_is_counted_in_steps(log, monkeypatch):
    expected = await old_log(log)
    assert not (await log.sizes.of(STREAM)).is_whole
    monkeypatch.setattr(sizes, "STEP_ENTRIES", 10)
    assert not await log.sizes.count(STREAM, steps=2)
    assert not (await log.sizes.of(STREAM)).is_whole
    assert 0 < (await log.sizes.of(STREAM)).total < expected[b"total"]
    assert await log.sizes.count(STREAM)
    assert (await log.sizes.of(STREAM)).total == expected[b"total"]
    assert await counted(log) == expected
    assert (await log.sizes.of("u:nobody")) == sizes.Size(0, 0, True)


@pytest.mark.parametrize("moment", range(4))
async def test_changes_while_an_old_log_is_counted_are_counted_once(log, monkeypatch, moment):
    await old_log(log)
    monkeypatch.setattr(sizes, "STEP_ENTRIES", 16)
    await log.sizes.count(STREAM, steps=2 * moment)
    await log.append(STREAM, [text("new", "c1"), part("new", "c0"), text("other", "new")])
    await log.sizes.count(STREAM, steps=1)
    await log.erase_chat(STREAM, "c2")
    await asyncio.gather(*(log.sizes.count(STREAM) for _ in range(3)))
    fields = await counted(log)
    assert b"l:c2" not in fields and fields[b"i:new"] == 1_002 + INDEX_ENTRY_BYTES


async def test_a_step_reads_a_bounded_number_of_bytes(log, server):
    await log.append(STREAM, [text(n, size=400_000) for n in range(20)])
    await log._read_pipe.execute("UNLINK", NAMES.sizes)
    assert not await log.sizes.count(STREAM, steps=2)
    seen = (await log.sizes.of(STREAM)).total
    # Up to the bound, plus the rest of one read.
    assert 0 < seen <= sizes.STEP_BYTES + 8 * 2 * 401_000


# Reservations


async def test_concurrent_reservations_stay_within_the_bound(log):
    await log.append(STREAM, [text(1)])
    stored = (await log.sizes.of(STREAM)).total

    async def reserve(name, total=100):
        claim = Claim(name, "c1", total, total // 2)
        return await log.sizes.reserve(STREAM, claim, most=stored + 1_000, most_of_chat=0)

    found = await asyncio.gather(*(reserve(str(number)) for number in range(30)))
    assert found.count("") == 10 and found.count("log") == 20
    named = found.index("")
    assert await reserve(str(named)) == ""  # Repeating the reservation reserves nothing more.
    await log.sizes.release(STREAM, Claim(str(named), "c1", 100, 50))
    assert [await reserve("a", 101), await reserve("b", 100), await reserve("c", 1)] == [
        "log",
        "",
        "log",
    ]


async def test_a_chat_is_bounded_by_its_index_alone(log):
    await log.append(STREAM, [text(1, "c1"), text(1, "c2")])
    stored = (await log.sizes.of(STREAM, "c1")).chat

    async def reserve(name, chat):
        claim = Claim(name, chat, 400, 200)
        return await log.sizes.reserve(STREAM, claim, most=0, most_of_chat=stored + 400)

    asked = [("a", "c1"), ("b", "c1"), ("c", "c1"), ("a", "c2"), ("a", "new")]
    assert [await reserve(*one) for one in asked] == ["", "", "chat", "", ""]


async def test_reservations_are_released_and_expire(log):
    claim = Claim("m", "c1", 100, 50)
    with pytest.raises(ZeroDivisionError):
        async with log.sizes.reserved(STREAM, claim, most=100, most_of_chat=0) as full:
            assert full == ""
            async with log.sizes.reserved(
                STREAM, Claim("n", "c1", 1, 1), most=100, most_of_chat=0
            ) as other:
                assert other == "log"
            raise ZeroDivisionError
    assert not await log._read_pipe.execute("EXISTS", NAMES.coming)
    await log.sizes.reserve(STREAM, claim, most=100, most_of_chat=0)
    left = await log._read_pipe.execute("PTTL", NAMES.coming)
    assert 0 < left <= sizes.RESERVED_FOR_MS


async def test_releasing_a_reservation_does_not_wait_long(make_server):
    server = make_server()
    async with Log() as log, asyncio.timeout(10):  # The connection would wait 30 s for an append.
        claim = Claim("m", "c1", 100, 50)
        async with log.sizes.reserved(STREAM, claim, most=100, most_of_chat=0) as full:
            assert full == ""
            server.kill()
