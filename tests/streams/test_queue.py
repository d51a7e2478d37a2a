import asyncio
import time

import pytest

from streams.queue import Queue, close_queues, get_queue

from .acts import PATIENCE_S, until


async def _stalled(queue: Queue, consumer: str, limit: int = 10):
    """Call claim_stalled() like a worker until it returns jobs."""
    found = []

    async def look() -> bool:
        found.extend(await queue.claim_stalled(consumer, limit))
        return bool(found)

    await until(look, "a stalled job")
    return found


async def test_a_job_goes_to_one_worker_and_ends(queue):
    assert await queue.put("a", b"\x00payload\xff")
    jobs = await queue.claim("w1", 10)
    assert [(j.key, j.payload, j.deliveries) for j in jobs] == [("a", b"\x00payload\xff", 1)]
    assert await queue.claim("w2", 10) == []
    assert await queue.done(jobs[0])
    assert await queue.size() == 0
    assert not await queue.done(jobs[0])


async def test_jobs_come_in_order_with_growing_tokens_up_to_the_limit(queue):
    for n in range(7):
        await queue.put(f"k{n}", b"")
    first, second = await queue.claim("w1", 3), await queue.claim("w2", 9)
    assert [j.key for j in first + second] == [f"k{n}" for n in range(7)]
    assert [j.token for j in first + second] == list(range(1, 8))
    assert await queue.claim("w1", 0) == []


async def test_putting_a_key_again_does_nothing_until_it_is_done(queue):
    assert await queue.put("a", b"1")
    assert not await queue.put("a", b"2")
    job = (await queue.claim("w1", 1))[0]
    assert not await queue.put("a", b"3")
    await queue.done(job)
    assert await queue.put("a", b"4")
    job = (await queue.claim("w1", 1))[0]
    assert job.payload == b"4"
    await queue.release(job)
    assert not await queue.put("a", b"5")


async def test_twenty_puts_at_once_make_one_job(queue):
    assert sum(await asyncio.gather(*(queue.put("a", b"") for _ in range(20)))) == 1
    assert len(await queue.claim("w1", 10)) == 1


async def test_a_lapsed_lease_is_taken_over_with_a_higher_token(queue):
    await queue.put("a", b"p")
    old = (await queue.claim("w1", 1))[0]
    new = (await _stalled(queue, "w2"))[0]
    assert (new.id, new.key, new.payload, new.deliveries) == (old.id, "a", b"p", 2)
    assert new.token > old.token


async def test_a_frozen_worker_can_neither_renew_nor_finish_nor_release_a_lost_job(queue):
    await queue.put("a", b"")
    old = (await queue.claim("w1", 1))[0]
    new = (await _stalled(queue, "w2"))[0]
    assert await queue.renew("w1", [old]) == set()
    assert not await queue.done(old)
    assert not await queue.release(old)
    # Its attempt does not take the job from the successor.
    assert await queue.renew("w2", [new]) == {new.id}
    assert await queue.done(new)


async def test_a_renewed_lease_does_not_lapse(queue):
    await queue.put("kept", b"")
    await queue.put("lost", b"")
    jobs = await queue.claim("w1", 2)
    give_up = time.monotonic() + 0.6  # four leases
    stalled = []
    while time.monotonic() < give_up:
        assert await queue.renew("w1", jobs[:1]) == {jobs[0].id}
        stalled += await queue.claim_stalled("w2", 10)
        await asyncio.sleep(0.02)
    assert [j.key for j in stalled if j.key == "kept"] == []
    assert "lost" in {j.key for j in stalled}


async def test_a_lapsed_lease_that_nobody_took_can_be_renewed(queue):
    await queue.put("a", b"")
    job = (await queue.claim("w1", 1))[0]
    await asyncio.sleep(0.2)
    assert await queue.renew("w1", [job]) == {job.id}
    assert await queue.renew("w1", []) == set()


async def test_a_released_job_goes_to_another_worker_at_once(queue):
    await queue.put("a", b"p")
    old = (await queue.claim("w1", 1))[0]
    assert await queue.release(old)
    assert not await queue.release(old)
    assert await queue.renew("w1", [old]) == set()
    new = (await queue.claim("w2", 1))[0]
    assert (new.key, new.payload, new.deliveries) == ("a", b"p", 2)
    assert new.token > old.token
    assert await queue.size() == 1


async def test_stalled_jobs_are_claimed_by_one_of_many(queue):
    for n in range(20):
        await queue.put(f"k{n}", b"")
    await queue.claim("dead", 20)
    got = []

    async def all_found() -> bool:
        for found in await asyncio.gather(*(queue.claim_stalled(f"w{n}", 20) for n in range(5))):
            got.extend(found)
        return len(got) >= 20

    await until(all_found, "twenty stalled jobs")
    assert sorted(j.key for j in got) == sorted(f"k{n}" for n in range(20))
    assert len({j.token for j in got}) == 20


# Waiting


async def test_wait_returns_at_once_when_there_is_work(queue):
    await queue.put("a", b"")
    async with asyncio.timeout(5):
        await queue.wait(60_000)


@pytest.mark.parametrize("how", ["put", "release"])
async def test_wait_returns_when_work_arrives(queue, how):
    await queue.put("other", b"")
    other = (await queue.claim("w1", 1))[0]
    for n in range(5):
        waiting = asyncio.create_task(queue.wait(60_000))
        await asyncio.sleep(0.02)
        assert not waiting.done()  # a job that somebody runs is no reason to wake
        await (queue.put(f"k{n}", b"") if how == "put" else queue.release(other))
        async with asyncio.timeout(PATIENCE_S):  # One that polls would take up to a minute.
            await waiting
        for job in await queue.claim("w1", 10):
            other = job


async def test_wait_returns_after_its_timeout(queue):
    started = time.monotonic()
    await queue.wait(50)
    assert time.monotonic() - started > 0.04


async def test_a_cancelled_wait_harms_nothing(queue):
    for _ in range(3):
        waiting = asyncio.create_task(queue.wait(60_000))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await queue.put("a", b"")
    async with asyncio.timeout(5):
        await queue.wait(60_000)
    assert len(await queue.claim("w1", 1)) == 1


# Redis restarts and freezes


async def test_after_a_restart_owners_get_another_lease(make_server, settings):
    settings.WORK_LEASE_MS = 400
    server = make_server()
    async with Queue("test") as queue:
        await queue.put("alive", b"")
        await queue.put("dead", b"")
        jobs = await queue.claim("w1", 2)
        await queue.claim_stalled("w2", 10)
        server.kill()
        await asyncio.sleep(0.6)  # by its own clock, every lease has lapsed
        await asyncio.to_thread(server.start)
        found = []

        async def look() -> bool:
            await queue.renew("w1", jobs[:1])
            found.extend(await queue.claim_stalled("w2", 10))
            return bool(found)

        assert await queue.claim_stalled("w2", 10) == []
        await until(look, "the job of the dead worker")
        assert [j.key for j in found] == ["dead"]
        assert found[0].token == 3  # tokens continue from the last one


async def test_a_frozen_redis_takes_no_job_from_the_living(make_server, settings):
    settings.WORK_LEASE_MS = 300
    server = make_server()
    async with Queue("test") as one, Queue("test") as two:
        await one.put("a", b"")
        job = (await one.claim("w1", 1))[0]
        assert await two.claim_stalled("w2", 1) == []
        server.freeze()
        looking = asyncio.create_task(two.claim_stalled("w2", 1))
        await asyncio.sleep(0.7)
        server.thaw()
        assert await looking == []
        assert await one.renew("w1", [job]) == {job.id}
        assert await two.claim_stalled("w2", 1) == []


async def test_jobs_survive_kill_9(make_server):
    server = make_server()
    async with Queue("test") as queue:
        for n in range(20):
            await queue.put(f"k{n}", b"")
        claimed = await queue.claim("w1", 5)
        server.kill()
        await asyncio.to_thread(server.start)
        assert await queue.renew("w1", claimed) == {j.id for j in claimed}
        assert [j.key for j in await queue.claim("w1", 50)] == [f"k{n}" for n in range(5, 20)]
        await queue.wait(10)


async def test_wait_survives_an_unavailable_redis(make_server):
    server = make_server()
    async with Queue("test") as queue:
        waiting = asyncio.create_task(queue.wait(60_000))
        await asyncio.sleep(0.05)
        server.kill()
        async with asyncio.timeout(PATIENCE_S):
            await waiting
        await asyncio.to_thread(server.start)
        await queue.put("a", b"")
        await queue.wait(60_000)
        assert len(await queue.claim("w1", 1)) == 1


# Workers


async def test_workers_are_listed_while_they_send_heartbeats(queue, monkeypatch):
    await queue.beat("w1", b'{"pid":1}')
    await queue.beat("w2")
    workers = await queue.workers()
    assert {(w.consumer, w.info) for w in workers} == {("w1", b'{"pid":1}'), ("w2", b"")}
    assert all(0 <= w.age_ms < 3_000 for w in workers)
    monkeypatch.setattr("streams.queue.BEAT_EXPIRY_MS", 1)
    await asyncio.sleep(0.01)
    assert await queue.workers() == []


async def test_a_silent_worker_is_removed_but_not_its_jobs(queue, server, monkeypatch):
    await queue.put("a", b"")
    await queue.claim("owner", 1)
    await queue.put("b", b"")
    await queue.done((await queue.claim("idle", 1))[0])
    for consumer in ("owner", "idle"):
        await queue.beat(consumer)
    monkeypatch.setattr("streams.queue.BEAT_EXPIRY_MS", 1)
    await asyncio.sleep(0.01)
    await queue.beat("w1")
    with server.client() as client:
        names = {c["name"] for c in client.xinfo_consumers("hf:{q:test}:jobs", "workers")}
    assert names == {b"owner"}
    assert [j.key for j in await _stalled(queue, "w1")] == ["a"]


async def test_the_first_by_name_of_the_living_workers_is_the_leader(queue, monkeypatch):
    assert await queue.beat("w2")
    assert not await queue.beat("w3")
    assert await queue.beat("w1")
    assert not await queue.beat("w2")
    # Also after a leader that died with a job, which stays in the list of workers.
    await queue.put("a", b"")
    await queue.claim("w1", 1)
    monkeypatch.setattr("streams.queue.BEAT_EXPIRY_MS", 1)
    await asyncio.sleep(0.01)
    assert await queue.beat("w2")


async def test_the_keys_of_a_queue_share_a_slot(queue, server):
    await queue.put("a", b"")
    await queue.claim("w1", 1)
    await queue.claim_stalled("w1", 1)
    await queue.beat("w1")
    with server.client() as client:
        keys = list(client.scan_iter())
    assert {key.split(b"}")[0] for key in keys} == {b"hf:{q:test"}
    assert len(keys) == 7


def test_every_loop_has_its_own_queue(server):
    async def use() -> None:
        queue = get_queue("test")
        assert get_queue("test") is queue
        assert get_queue("other") is not queue
        await queue.put("a", b"")
        await close_queues()

    asyncio.run(use())
    asyncio.run(use())
