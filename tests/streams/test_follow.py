import asyncio
import json
from contextlib import aclosing

import pytest

from streams.cursors import order
from streams.errors import StreamsError
from streams.keys import stream_keys
from streams.log import Event, Log

from .acts import PATIENCE_S, STREAM, collect, event, ids, part, until


async def _mixed(log: Log, count: int) -> None:
    for n in range(count):
        new = part(n, f"c{n % 3}") if n % 4 else event(n, f"c{n % 3}", whole=f'{{"whole":{n}}}')
        await log.append(STREAM, [new])


async def test_following_from_every_entry_equals_reading(log):
    await _mixed(log, 30)
    for chat in (None, "c1"):
        everything = await log.read(STREAM, chat)
        for start in [None, *ids(everything)[:-1]]:
            expected = await log.read(STREAM, chat, start)
            assert await collect(log, len(expected), chat=chat, after=start) == expected


async def test_new_entries_are_followed(log):
    following = asyncio.create_task(collect(log, 6, chat="c1"))
    for n in range(12):
        await log.append(STREAM, [event(n, f"c{n % 2}")])
    assert [e.data for e in await following] == [event(n).data for n in range(1, 12, 2)]


async def test_live_followers_get_the_event_and_readers_the_whole(log):
    async with aclosing(log.follow_batches(STREAM, "c1")) as found:
        assert (await anext(found)).live
        await log.append(STREAM, [event(1, whole='{"whole":1}')])
        assert (await anext(found)).entries[0].data == event(1).data
    assert (await log.read(STREAM, "c1"))[0].data == b'{"whole":1}'


@pytest.mark.parametrize("chat", [None, "c1"])
async def test_followers_beside_concurrent_writers_miss_and_repeat_nothing(log, settings, chat):
    """Followers join at any time and position; a small buffer makes them lag and rejoin."""
    settings.STREAMS_FOLLOWER_BUFFER_BYTES = 3_000
    total = 1_500

    async def write(writer: int) -> None:
        for n in range(total // 5):
            await log.append(STREAM, [part(f"{writer}-{n}", f"c{n % 2}")])

    async def follow_from(log: Log, number: int, slow: bool) -> list[str]:
        found: list[str] = []
        async with aclosing(log.follow_batches(STREAM, chat)) as batches:
            async for batch in batches:
                found += ids(list(batch.entries))
                if slow and number % 3 == 0:
                    await asyncio.sleep(0.002)
                if len(found) >= total // (2 if chat else 1):
                    return found
        raise AssertionError("following ended by itself")

    async with asyncio.timeout(PATIENCE_S * 2), Log() as other:
        writing = [asyncio.create_task(write(n)) for n in range(5)]
        following = []
        for number in range(20):
            following.append(asyncio.create_task(follow_from(other, number, slow=True)))
            await asyncio.sleep(0.003)
        await asyncio.gather(*writing)
        expected = ids(await log.read(STREAM, chat))
        for found in await asyncio.gather(*following):
            assert found == expected


async def test_reconnecting_repeatedly_gives_everything_once(log):
    async def write() -> None:
        for n in range(400):
            await log.append(STREAM, [part(n)])

    writing = asyncio.create_task(write())
    found: list[str] = []
    async with Log() as other:
        while len(found) < 400:
            more = await collect(
                other, min(7, 400 - len(found)), after=found[-1] if found else None
            )
            found += ids(more)
    await writing
    assert found == ids(await log.read(STREAM))


async def test_the_end_of_the_replay_is_marked_once_with_its_cursor(log):
    appended = await log.append(STREAM, [event(n) for n in range(1000)])
    appended += await log.append(STREAM, [event(n) for n in range(1000, 1500)])
    async with aclosing(log.follow_batches(STREAM)) as found:
        sizes, live = [], None
        while live is None:
            batch = await anext(found)
            if batch.live:
                live = batch
            else:
                sizes.append(len(batch.entries))
        assert sizes == [1000, 500]  # in pages, so that memory is bounded
        assert (live.entries, live.cursor) == ((), appended[-1])
        await log.append(STREAM, [event("new")])
        batch = await anext(found)
        assert not batch.live
        assert batch.entries[0].data == event("new").data


async def test_an_empty_stream_is_live_at_once(log):
    async with aclosing(log.follow_batches(STREAM, "c1")) as found:
        batch = await anext(found)
        assert (batch.live, batch.cursor) == (True, "0-0")


async def test_frames_hold_the_stored_json_and_are_shared(log):
    await log.append(STREAM, [Event("e1", "c1", "note", '{"n":"é🙂"}'.encode()), part(2)])
    async with (
        aclosing(log.follow_batches(STREAM)) as one,
        aclosing(log.follow_batches(STREAM)) as two,
    ):
        for found in (one, two):
            batch = await anext(found)
            frame = json.loads(batch.frame)
            assert frame["chat"] == "c1"
            assert frame["entries"] == [[e.id, json.loads(e.data)] for e in batch.entries]
            assert (await anext(found)).live
        await log.append(STREAM, [event(3), part(4)])
        batch = await anext(one)
        assert batch is await anext(two)
        assert batch.frame is batch.frame


async def test_batches_keep_the_order_of_the_log_across_chats(log):
    async with aclosing(log.follow_batches(STREAM)) as found:
        assert (await anext(found)).live
        await log.append(STREAM, [event(n, f"c{n % 2}") for n in range(4)])
        batches = [await anext(found) for _ in range(4)]
        assert [b.chat for b in batches] == ["c0", "c1", "c0", "c1"]
        assert [b.cursor for b in batches] == ids(await log.read(STREAM))


async def test_parts_can_be_left_out(log):
    await log.append(STREAM, [part(1), event(2), part(3)])
    async with aclosing(log.follow_batches(STREAM, parts=False)) as found:
        assert [e.data for e in (await anext(found)).entries] == [event(2).data]
        # The cursor is after the omitted parts.
        assert (await anext(found)).cursor == await log.tail(STREAM)
        await log.append(STREAM, [part(4)])
        await log.append(STREAM, [part(5), event(6), part(7)])
        assert [e.data for e in (await anext(found)).entries] == [event(6).data]


async def test_the_focused_chat_has_its_parts_and_may_change(log):
    focus = "c1"
    async with aclosing(log.follow_batches(STREAM, focus=lambda: focus)) as found:
        assert (await anext(found)).live
        news = [part(1, "c1"), part(2, "c2"), event(3, "c2"), event(4, "c1"), part(5, "c1")]
        await log.append(STREAM, news)
        batches = [await anext(found) for _ in range(3)]
        data = [[e.data for e in b.entries] for b in batches]
        assert data == [[news[0].data], [news[2].data], [news[3].data, news[4].data]]
        focus = "c2"
        await log.append(STREAM, [part(6, "c1"), part(7, "c2")])
        assert [e.data for e in (await anext(found)).entries] == [part(7).data]


async def test_the_poll_makes_up_for_a_lost_wake_up(log, server, settings):
    """The poll finds an entry without a wake-up."""
    settings.STREAMS_FOLLOW_POLL_MS = 50
    async with Log() as other, aclosing(other.follow_batches(STREAM)) as found:
        assert (await anext(found)).live
        with server.client() as client:
            fields = {"c": "c1", "t": "note", "d": "{}"}
            client.xadd(stream_keys("hf", STREAM).log, fields)
        async with asyncio.timeout(2):
            assert (await anext(found)).chat == "c1"


async def test_a_lost_subscription_is_restored(log, server, settings):
    settings.STREAMS_FOLLOW_POLL_MS = 60_000
    async with Log() as other, aclosing(other.follow_batches(STREAM)) as found:
        assert (await anext(found)).live
        with server.client() as client:
            for n in range(5):
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await log.append(STREAM, [event(n)])
                async with asyncio.timeout(PATIENCE_S):
                    assert (await anext(found)).entries[0].data == event(n).data


async def test_followers_survive_a_restart_of_redis(make_server):
    server = make_server()
    async with Log() as log:
        following = asyncio.create_task(collect(log, 40))
        for n in range(40):
            await log.append(STREAM, [event(n)])
            if n in (10, 25):
                server.kill()
                await asyncio.to_thread(server.start)
        assert [e.data for e in await following] == [event(n).data for n in range(40)]


async def test_a_follower_that_sleeps_is_bounded_and_then_gets_everything(log, settings):
    settings.STREAMS_FOLLOWER_BUFFER_BYTES = 2_000
    async with Log() as other:
        sleepy, quick = other.follow_batches(STREAM), other.follow_batches(STREAM)
        assert (await anext(sleepy)).live
        assert (await anext(quick)).live
        got: list[str] = []
        for n in range(300):
            await log.append(STREAM, [event(n)])
            while not got or order(got[-1]) < order(await log.tail(STREAM)):
                got += ids(list((await anext(quick)).entries))
            for followed in other._follower._followed.values():
                assert all(s._bytes <= 2_000 for s in followed.subscribers)
        slept: list[str] = []
        while len(slept) < 300:
            slept += ids(list((await anext(sleepy)).entries))
        assert got == slept == ids(await log.read(STREAM))
        await sleepy.aclose()
        await quick.aclose()


async def test_a_burst_bigger_than_one_read_arrives_whole(log):
    async with aclosing(log.follow_batches(STREAM)) as found:
        assert (await anext(found)).live
        await asyncio.gather(
            *(log.append(STREAM, [event(f"{k}-{n}") for n in range(500)]) for k in range(6))
        )
        got: list[str] = []
        while len(got) < 3_000:
            got += ids(list((await anext(found)).entries))
        assert got == ids(await log.read(STREAM))


async def test_one_subscription_serves_all_and_ends_with_the_last(log, server):
    channel = stream_keys("hf", STREAM).wake
    with server.client() as client:

        async def subscribers(count: int) -> bool:
            return client.pubsub_numsub(channel)[0][1] == count

        found = [log.follow_batches(STREAM) for _ in range(30)]
        for one in found:
            assert (await anext(one)).live
        assert await subscribers(1)
        for one in found[1:]:
            await one.aclose()
        await log.append(STREAM, [event(1)])
        assert (await anext(found[0])).chat == "c1"
        await found[0].aclose()
        await until(lambda: subscribers(0), "the end of the subscription")
        again = log.follow_batches(STREAM, after=await log.tail(STREAM))
        assert (await anext(again)).live
        await log.append(STREAM, [event(2)])
        assert (await anext(again)).entries[0].data == event(2).data
        await again.aclose()


async def test_a_follower_that_rejoins_at_once_receives_entries(log, settings):
    settings.STREAMS_FOLLOW_POLL_MS = 60_000
    async with Log() as other:
        for n in range(30):
            one = other.follow_batches(STREAM, after=await log.tail(STREAM))
            assert (await anext(one)).live
            await log.append(STREAM, [event(n)])
            async with asyncio.timeout(PATIENCE_S):
                assert (await anext(one)).entries[0].data == event(n).data
            await one.aclose()


async def test_a_cancelled_follower_leaves_nothing_behind(log):
    async def follow() -> None:
        async with aclosing(log.follow_batches(STREAM)) as batches:
            async for _ in batches:
                pass

    tasks = [asyncio.create_task(follow()) for _ in range(20)]
    await log.append(STREAM, [event(1)])
    await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log._follower._followed == {}


async def test_idle_followers_cost_one_command_each_poll(log, server, settings):
    """A thousand followers of one stream cost one command for each poll, not a thousand."""
    settings.STREAMS_FOLLOW_POLL_MS = 100
    async with Log() as other:
        found = [other.follow_batches(STREAM) for _ in range(1_000)]
        for one in found:
            assert (await anext(one)).live
        with server.client() as client:
            before = client.info("commandstats")["cmdstat_xrange"]["calls"]
            await asyncio.sleep(1)
            polled = client.info("commandstats")["cmdstat_xrange"]["calls"] - before
        assert 1 <= polled <= 15
        for one in found:
            await one.aclose()


# Followers that cannot continue


async def test_an_unreadable_log_ends_only_its_own_followers(log, server):
    """Otherwise they, and all other followers of the process, would receive nothing more."""
    other = "u:bob"
    await log.append(STREAM, [event(0)])
    await log.append(other, [event(0)])
    broken = asyncio.create_task(collect(log, 9))
    whole = asyncio.create_task(collect(log, 2, stream=other))
    await asyncio.sleep(0.1)
    with server.client() as client:
        client.xadd(stream_keys("hf", STREAM).log, {"not": "ours"})
        client.publish(stream_keys("hf", STREAM).wake, "1-1")
    with pytest.raises(StreamsError):
        await asyncio.wait_for(broken, PATIENCE_S)
    await log.append(other, [event(1)])
    assert [e.id for e in await whole] == [e.id for e in await log.read(other)]


async def test_a_late_failure_does_not_reach_new_followers(log):
    """A reply that arrives after its followers have left does not affect new followers."""
    follower = log._follower
    await log.append(STREAM, [event(0)])
    first = aclosing(log.follow_batches(STREAM))
    async with first as batches:
        await anext(batches)
        [gone] = follower._followed.values()
    following = asyncio.create_task(collect(log, 2))
    await asyncio.sleep(0)
    follower._fail(gone, "cannot be read")
    await log.append(STREAM, [event(1)])
    assert len(await asyncio.wait_for(following, PATIENCE_S)) == 2


async def test_a_restored_log_ends_its_followers(log, server):
    """As after a failover or from a backup: new entries may have ids below those already seen."""
    await log.append(STREAM, [event(n) for n in range(3)])
    following = asyncio.create_task(collect(log, 9))
    await asyncio.sleep(0.1)
    names = stream_keys("hf", STREAM)
    with server.client() as client:
        first = client.xrange(names.log, count=1)[0]
        client.delete(names.log)
        client.xadd(names.log, first[1], id=first[0])
        client.client_kill_filter(_type="pubsub")
    with pytest.raises(StreamsError):
        await asyncio.wait_for(following, PATIENCE_S)
    # A new follower gets the remaining entries and new ones.
    await log.append(STREAM, [event(9)])
    assert len(await collect(log, 2)) == 2
