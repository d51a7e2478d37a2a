"""Redis's wall clock is set back or jumps ahead: by an administrator, a restored machine, a
failover.

Each test puts into a real Redis what such a jump leaves behind: times that are off by an hour.
"""

import asyncio
import time

import pytest

from streams import lock
from streams.keys import stream_keys
from streams.leases import LeaseWatch
from streams.lock import run_exclusively
from streams.log import Fence
from streams.queue import Queue

from .acts import STREAM, event, part, until

HOUR_MS = 3_600_000
JOBS, BEATS = "hf:{q:test}:jobs", "hf:{q:test}:beats"


@pytest.fixture
async def queue(make_server, settings):
    """A queue on a Redis whose stored times can be changed."""
    settings.WORK_LEASE_MS = 150
    server = make_server("--enable-debug-command", "local")
    async with Queue("test") as queue:
        queue.server = server
        yield queue


def shift_leases(client, by_ms):
    """Make leases look as if the clock was `by_ms` ahead at their last renewal.

    Redis has no command to set such times, so they are patched in its dump.
    """
    client.execute_command("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1")
    dump = client.dump(JOBS)
    for group in client.xinfo_stream(JOBS, full=True)["groups"]:
        for _, _, at, _ in group["pending"]:
            assert at.to_bytes(8, "little") in dump
            dump = dump.replace(at.to_bytes(8, "little"), (at + by_ms).to_bytes(8, "little"))
    client.restore(JOBS, 0, dump, replace=True)


async def claimed(queue):
    await queue.put("a", b"p")
    return (await queue.claim("w1", 1))[0]


async def test_a_dead_workers_job_is_taken_over_while_the_clock_is_behind(queue):
    job = await claimed(queue)
    with queue.server.client() as client:
        shift_leases(client, HOUR_MS)
    found = []

    async def look():
        found.extend(await queue.claim_stalled("w2", 10))
        return bool(found)

    await until(look, "the job of the dead worker")
    assert (found[0].key, found[0].deliveries) == ("a", 2) and found[0].token > job.token
    assert await queue.renew("w1", [job]) == set()


@pytest.mark.parametrize("by_ms", [-HOUR_MS, HOUR_MS])
async def test_a_living_worker_keeps_its_job_whatever_the_clock_does(queue, by_ms):
    job = await claimed(queue)
    taken = []
    with queue.server.client() as client:
        for _ in range(30):  # four leases
            shift_leases(client, by_ms)
            taken += await queue.claim_stalled("w2", 10)
            assert await queue.renew("w1", [job]) == {job.id}
            await asyncio.sleep(0.02)
    assert taken == []


async def test_a_job_of_a_worker_of_an_earlier_release_is_judged_by_redis(queue):
    """It counts no renewals. Its lease must neither lapse at once nor last forever."""
    job = await claimed(queue)
    with queue.server.client() as client:
        client.delete("hf:{q:test}:leases")
        for _ in range(15):
            client.xclaim(JOBS, "workers", "w1", 0, [job.id], justid=True)
            assert await queue.claim_stalled("w2", 10) == []
            await asyncio.sleep(0.02)

    async def look():
        return bool(await queue.claim_stalled("w2", 10))

    await until(look, "the job of the dead worker")


def test_a_lease_lapses_only_after_it_was_observed_unchanged():
    watch = LeaseWatch(1.5)

    def look(at, run=b"r", **counts):
        leases = {name.encode(): str(count).encode() for name, count in counts.items()}
        return [job.decode() for job, _ in watch.look(run, leases, at)]

    assert look(0.0, dead=1, alive=1) == []
    assert look(0.5, dead=1, alive=2) == []
    assert look(1.0, dead=1, alive=3) == []
    assert look(1.51, dead=1, alive=4) == ["dead"]
    # After a long gap, the observer has not seen what happened during it.
    assert look(100.0, dead=1, alive=4) == ["dead"]
    assert look(200.0, dead=2, alive=4) == ["alive"]
    # After a restart of Redis, every owner gets one more lease.
    assert look(200.1, run=b"new", dead=2, alive=4) == []
    assert look(200.9, run=b"new", dead=2, alive=4) == []
    assert sorted(look(201.7, run=b"new", dead=2, alive=4)) == ["alive", "dead"]


def test_a_pause_of_the_whole_machine_lapses_no_lease():
    """Redis or the whole machine was frozen, and the observer is the first to continue."""
    watch = LeaseWatch(1.5)
    assert watch.look(b"r", {b"alive": b"1"}, 0.0) == []
    assert watch.look(b"r", {b"alive": b"1"}, 0.4) == []
    assert watch.look(b"r", {b"alive": b"1"}, 60.0) == []
    assert watch.look(b"r", {b"alive": b"2"}, 60.2) == []


async def test_workers_that_died_before_the_clock_was_set_back_are_not_living(queue):
    await queue.beat("dead")
    with queue.server.client() as client:
        client.zincrby(BEATS, HOUR_MS, "dead")
        await queue.beat("alive")
        assert [w.consumer for w in await queue.workers()] == ["alive"]
        assert client.zrange(BEATS, 0, -1) == [b"alive"]


async def test_the_turn_of_a_dead_holder_comes_free_while_the_clock_is_behind(server):
    key = "hf:{turn:chore}"
    done = []

    async def work():
        done.append(time.monotonic())

    with server.client() as client:
        # It would have lapsed 300 ms later, by a clock that was an hour ahead.
        client.set(key, "of-the-dead:7", px=HOUR_MS)

        async def free():
            return await run_exclusively("chore", work, lease_ms=300)

        assert not await free()
        await until(free, "the turn comes free")
        assert len(done) == 1
        assert not client.exists(key) and key not in lock._seen


async def test_a_turn_that_is_renewed_stays_its_holders_while_the_clock_is_behind(server):
    ended = asyncio.Event()
    first = asyncio.create_task(run_exclusively("chore", ended.wait, lease_ms=300))

    async def other():
        raise AssertionError("two at it")

    with server.client() as client:
        [key] = await held(client)
        for _ in range(10):
            client.pexpire(key, HOUR_MS)
            assert not await run_exclusively("chore", other, lease_ms=300)
            await asyncio.sleep(0.1)
    ended.set()
    assert await first


async def held(client):
    keys = []

    async def taken():
        keys[:] = client.keys("*{turn:chore}")
        return bool(keys)

    await until(taken, "the turn is taken")
    return keys


async def test_entries_keep_their_order_while_the_clock_is_behind(log, server):
    """New entries follow the last one, and so do ranges of entry ids."""
    names = stream_keys("hf", STREAM)
    with server.client() as client:
        ahead = client.time()[0] * 1000 + HOUR_MS
        client.xadd(names.log, {"c": "c1", "t": "delta", "d": "{}"}, id=f"{ahead}-0")
        client.xadd(names.chat("c1"), {"t": "delta", "d": "{}"}, id=f"{ahead}-0")
    await log.raise_fence(STREAM, Fence("r1", 1))
    written = await log.append(STREAM, [part(1), part(2), event(1)], Fence("r1", 1))
    assert written == [f"{ahead}-{n}" for n in (1, 2, 3)]
    # A repetition is recognised, however far the clock is off.
    assert await log.append(STREAM, [part(1), part(2), event(1)], Fence("r1", 1)) == written
    assert [e.id for e in await log.read(STREAM, "c1")][-3:] == written
    await log.compact(STREAM, "c1", "r1", until=written[-1])
    assert [e.id for e in await log.read(STREAM, "c1")][-1:] == written[-1:]


async def test_ids_of_parts_outlive_a_clock_that_jumps_ahead(log, server):
    """Keys with an expiry are gone after the jump, so no needed key may have one."""
    written = await log.append(STREAM, [part(1)])
    with server.client() as client:
        for key in client.scan_iter():
            if client.ttl(key) != -1:
                client.delete(key)
    assert await log.append(STREAM, [part(1)]) == written
