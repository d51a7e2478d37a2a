"""Acknowledged appends survive whatever happens to Redis; others can be repeated."""

import asyncio
import contextlib
import random

import pytest

from streams.log import Fence, Log, LogUnavailableError

from .acts import STREAM, event, part, until


async def _write(log: Log, writer: int, acknowledged: dict[str, str]) -> None:
    number = 0
    while True:
        new = event(f"{writer}-{number}") if number % 5 == 0 else part(f"{writer}-{number}")
        acknowledged[new.id] = (await log.append(STREAM, [new]))[0]
        number += 1


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_kill_9_loses_nothing_that_was_acknowledged(make_server):
    server = make_server()
    acknowledged: dict[str, str] = {}
    async with Log() as log:
        writers = [asyncio.create_task(_write(log, n, acknowledged)) for n in range(8)]
        for _ in range(5):
            seen = len(acknowledged)

            async def has_grown(seen: int = seen) -> bool:
                return len(acknowledged) > seen + 40

            await until(has_grown, "more appends")
            server.kill()
            at_the_kill = dict(acknowledged)
            await asyncio.to_thread(server.start)
            there = {e.id for e in await log.read(STREAM)}
            assert set(at_the_kill.values()) <= there
        await _cancel(*writers)

        async def is_settled() -> bool:
            """Appends that were under way when they were cancelled may still be stored."""
            return await log.read(STREAM) == await log.read(STREAM, "c1")

        await until(is_settled, "the log to hold what the chat's index holds")
        entries = await log.read(STREAM)
        assert set(acknowledged.values()) <= {e.id for e in entries}
        # The writers repeated unanswered appends; no event is stored twice.
        assert len({e.data for e in entries}) == len(entries)


async def test_lost_connections_neither_lose_nor_double(log, server):
    acknowledged: dict[str, str] = {}
    writers = [asyncio.create_task(_write(log, n, acknowledged)) for n in range(8)]
    with server.client() as client:
        for _ in range(25):
            await asyncio.sleep(random.uniform(0, 0.02))
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    seen = len(acknowledged)

    async def goes_on() -> bool:
        return len(acknowledged) > seen + 50

    await until(goes_on, "appends after the last kill")
    await _cancel(*writers)
    entries = await log.read(STREAM)
    assert set(acknowledged.values()) <= {e.id for e in entries}
    assert len({e.data for e in entries}) == len(entries)


async def test_a_connection_that_dies_before_the_answer_is_retried_with_the_first_result(
    log, server
):
    """Redis is frozen while it has the append, and the connection is cut before it replies."""
    await log.append(STREAM, [event(0)])
    with server.client() as client:
        own = client.client_id()
        server.freeze()
        try:
            appending = asyncio.create_task(log.append(STREAM, [event(1), part(1)]))
            await asyncio.sleep(0.05)  # The append is now in the socket's buffer.
        finally:
            server.thaw()
        for other in client.client_list():
            if int(other["id"]) != own:
                with contextlib.suppress(Exception):
                    client.client_kill_filter(_id=other["id"])
    found = await appending
    entries = await log.read(STREAM)
    assert [e.id for e in entries][1:] == found


async def test_a_forgotten_script_heals_itself(log, server):
    await log.append(STREAM, [event(1)])
    with server.client() as client:
        client.script_flush()
    await asyncio.gather(*(log.append(STREAM, [part(n)]) for n in range(20)))
    assert len(await log.read(STREAM)) == 21
    with server.client() as client:
        client.script_flush()
    assert len(await log.read(STREAM, parts=False)) == 1


async def test_a_redis_that_stays_away_is_reported_in_time(make_server, settings):
    server = make_server()
    settings.STREAMS_APPEND_TIMEOUT_MS = 400
    async with Log() as log:
        await log.append(STREAM, [event(1)])
        server.kill()
        started = asyncio.get_running_loop().time()
        with pytest.raises(LogUnavailableError):
            await log.append(STREAM, [event(2)])
        assert 0.3 < asyncio.get_running_loop().time() - started < 3
        await asyncio.to_thread(server.start)
        await log.append(STREAM, [event(2)])
        assert [e.data for e in await log.read(STREAM)] == [event(1).data, event(2).data]


async def test_a_frozen_redis_is_waited_for(make_server):
    server = make_server()
    async with Log() as log:
        await log.append(STREAM, [event(1)])
        server.freeze()
        appending = asyncio.create_task(log.append(STREAM, [event(2)]))
        done, _ = await asyncio.wait([appending], timeout=0.3)
        assert not done
        server.thaw()
        await appending
        assert len(await log.read(STREAM)) == 2


@pytest.mark.parametrize(
    ("refuse", "allow"),
    [
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
    ],
    ids=["full", "read-only"],
)
async def test_a_redis_that_takes_no_writes_is_waited_for(make_server, refuse, allow):
    server = make_server()
    async with Log() as log:
        await log.append(STREAM, [event(1)])
        with server.client() as client:
            client.execute_command(*refuse)
            appending = asyncio.create_task(log.append(STREAM, [event(2)]))
            done, _ = await asyncio.wait([appending], timeout=0.3)
            assert not done
            client.execute_command(*allow)
        await appending
        assert len(await log.read(STREAM)) == 2


async def test_closing_ends_what_is_pending(make_server):
    server = make_server()
    log = Log()
    await log.append(STREAM, [event(1)])
    server.kill()
    appending = asyncio.create_task(log.append(STREAM, [event(2)]))
    await asyncio.sleep(0)
    await log.aclose()
    with pytest.raises(LogUnavailableError):
        await appending
    with pytest.raises(LogUnavailableError):
        await log.append(STREAM, [event(3)])


async def test_a_cancelled_append_holds_nobody_up(log):
    appending = asyncio.create_task(log.append(STREAM, [event(1)]))
    await asyncio.sleep(0)
    appending.cancel()
    await log.append(STREAM, [event(2)])
    assert event(2).data in [e.data for e in await log.read(STREAM)]


async def test_the_keys_of_a_stream_share_a_slot_in_a_cluster(make_server, unused_tcp_port):
    """A real server in cluster mode refuses scripts whose keys are in two slots."""
    bus_port = unused_tcp_port + 10_000 if unused_tcp_port < 55_000 else unused_tcp_port - 10_000
    options = ["--port", str(unused_tcp_port), "--cluster-port", str(bus_port)]
    server = make_server("--cluster-enabled", "yes", "--bind", "127.0.0.1", *options)
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        async with Log() as log:
            await log.raise_fence(STREAM, Fence("r1", 1))
            await log.append(STREAM, [event(1), part(2), event(3, "c2")], Fence("r1", 1))
            await log.compact(STREAM, "c1", "r1")
            assert len(await log.read(STREAM, "c1")) == 1
            slots = {
                client.execute_command("CLUSTER", "KEYSLOT", key) for key in client.scan_iter()
            }
            assert len(slots) == 1
            follower = log.follow_batches(STREAM)
            assert (await anext(follower)).entries[0].data == event(1).data
            await follower.aclose()
            await log.erase(STREAM)
