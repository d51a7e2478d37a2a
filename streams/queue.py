"""The work queue: each job has one owner at a time.

A worker claims a job with a token that is higher than every earlier one, and renews a lease on it.
When the lease lapses (streams/leases.py), another worker takes over the job with a higher token,
and calls of the former owner have no effect. The token is also the fence for the entries that the
job appends, so a worker that was paused past its lease can neither keep its job nor write to the
log.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from django.conf import settings
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from .keys import valid_name
from .leases import LeaseWatch
from .pipe import (
    CONNECTION_ERRORS,
    PipelinedConnection,
    Script,
    backoff_s,
    connect,
    disconnect,
    pack,
)

logger = logging.getLogger(__name__)

__all__ = ["Job", "Queue", "Worker", "close_queues", "get_queue"]

PUT = Script("queue_put")
CLAIM = Script("queue_claim")
LEASES = Script("queue_leases")
CLAIM_STALLED = Script("queue_claim_stalled")
RENEW = Script("queue_renew")
FINISH = Script("queue_finish")
PLACE = Script("queue_place")
BEAT = Script("queue_beat")
WORKERS = Script("queue_workers")
GROUP = "workers"
# A worker without a heartbeat for this long is not counted as alive.
BEAT_EXPIRY_MS = 5_000
# How much longer than its timeout a blocking read may take.
WAIT_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `deliveries` counts how often it was claimed, including this time."""

    id: str
    key: str
    payload: bytes
    token: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class Worker:
    consumer: str
    info: bytes
    age_ms: int


class Queue:
    """Belongs to the event loop that first uses it. Calls wait for Redis like those of Log."""

    def __init__(self, name: str, url: str | None = None) -> None:
        url = url or settings.REDIS_URL
        scripts = (PUT, CLAIM, LEASES, CLAIM_STALLED, RENEW, FINISH, PLACE, BEAT, WORKERS)
        tag = f"{settings.STREAMS_PREFIX}:{{q:{valid_name(name)}}}"
        self._url = url
        self._lease_ms: int = settings.WORK_LEASE_MS
        self._jobs, self._keys = f"{tag}:jobs", f"{tag}:keys"
        self._owners, self._tokens = f"{tag}:owners", f"{tag}:tokens"
        self._leases = f"{tag}:leases"
        self._beats, self._infos = f"{tag}:beats", f"{tag}:infos"
        self._pipe = PipelinedConnection(
            url, timeout_ms=settings.STREAMS_APPEND_TIMEOUT_MS, scripts=scripts
        )
        self._link: AbstractConnection | None = None
        self._waiting = asyncio.Lock()
        self._watch = LeaseWatch(self._lease_ms / 1000)
        # The number of jobs whose lease has lapsed and that claim_stalled() did not take.
        self.stalled = 0
        # The number of claimed jobs, of all workers, that claim_stalled() saw last.
        self.claimed = 0

    async def put(self, key: str, payload: bytes) -> bool:
        """Queue a job. Does nothing and returns False if one of this key is queued or running."""
        return bool(await self._pipe.submit(PUT.call([self._jobs, self._keys], key, payload)))

    async def claim(self, consumer: str, limit: int) -> list[Job]:
        """Claim at most `limit` new jobs, oldest first. Does not wait for jobs.

        If the reply is lost, claim_stalled() returns the jobs later.
        """
        if limit < 1:
            return []
        keys = [self._jobs, self._owners, self._tokens, self._leases]
        return _jobs(await self._pipe.submit(CLAIM.call(keys, GROUP, consumer, limit)))

    async def claim_stalled(self, consumer: str, limit: int) -> list[Job]:
        """Take over at most `limit` jobs that were not renewed for WORK_LEASE_MS, with new tokens.

        Call it every WORK_POLL_MS while any job is claimed, even with a limit of 0: a lease has
        lapsed if this process has observed no renewal. After a restart of Redis it returns nothing
        for the duration of a lease, because the owners could not renew.
        """
        packed = LEASES.call([self._jobs, self._leases], GROUP, self._lease_ms)
        run, *counts = await self._pipe.submit(packed)
        leases = dict(zip(counts[::2], counts[1::2], strict=True))
        self.claimed = len(leases)
        lapsed = self._watch.look(run, leases, time.monotonic())
        self.stalled = len(lapsed)
        if not lapsed or limit < 1:
            return []
        keys = [self._jobs, self._owners, self._tokens, self._leases]
        pairs = [item for lease in lapsed for item in lease]
        packed = CLAIM_STALLED.call(keys, GROUP, consumer, limit, *pairs)
        jobs = _jobs(await self._pipe.submit(packed))
        self.stalled -= len(jobs)
        return jobs

    async def renew(self, consumer: str, jobs: Iterable[Job]) -> set[str]:
        """Renew leases; returns the ids of the jobs still owned. Never takes a job back."""
        pairs = [item for job in jobs for item in (job.id, job.token)]
        if not pairs:
            return set()
        packed = RENEW.call([self._jobs, self._owners, self._leases], GROUP, consumer, *pairs)
        return {owned.decode() for owned in await self._pipe.submit(packed)}

    async def release(self, job: Job) -> bool:
        """Return the job to the queue for any worker to claim. False if no longer owned."""
        return await self._finish(job, job.deliveries)

    async def done(self, job: Job) -> bool:
        """Remove the job; its key may be queued again. False if no longer owned."""
        return await self._finish(job, "")

    async def _finish(self, job: Job, deliveries: int | str) -> bool:
        packed = FINISH.call(
            [self._jobs, self._owners, self._keys, self._leases],
            GROUP,
            job.id,
            job.token,
            job.key,
            deliveries,
            job.payload,
        )
        return bool(await self._pipe.submit(packed))

    async def wait(self, timeout_ms: int) -> None:
        """Return when there may be a job to claim, at once if there is one, or after `timeout_ms`.

        Another worker may claim it first. If Redis is unavailable, it returns after a short delay.
        One task waits at a time; others queue behind it.
        """
        async with self._waiting:
            try:
                place = await self._pipe.submit(PLACE.call([self._jobs], GROUP))
                await self._block(place, timeout_ms)
            except CONNECTION_ERRORS:
                logger.debug("Waiting for work failed", exc_info=True)
                await self._drop_link()
                await asyncio.sleep(min(timeout_ms / 1000, backoff_s(5)))
            except BaseException:
                # Cancelled before Redis replied: this connection cannot be used again.
                await self._drop_link()
                raise

    async def _block(self, place: bytes, timeout_ms: int) -> None:
        if self._link is None:
            self._link = await connect(self._url)
        command = pack("XREAD", "COUNT", 1, "BLOCK", timeout_ms, "STREAMS", self._jobs, place)
        async with asyncio.timeout(timeout_ms / 1000 + WAIT_GRACE_S):
            await self._link.send_packed_command([command], check_health=False)
            await self._link.read_response()

    async def size(self) -> int:
        """The number of jobs queued or running."""
        return int(await self._pipe.execute("XLEN", self._jobs))

    async def beat(self, consumer: str, info: bytes = b"") -> bool:
        """Record that this worker is alive; call it every second or two. workers() returns
        `info`. True if this worker is the leader, which runs the periodic chores.

        Two workers may both be told so for some seconds, when one was paused or the workers have
        just started; for as long, there may be no leader after one has died.
        """
        keys = [self._jobs, self._beats, self._infos]
        return bool(await self._pipe.submit(BEAT.call(keys, GROUP, consumer, info, BEAT_EXPIRY_MS)))

    async def workers(self) -> list[Worker]:
        """The workers with a heartbeat in the last BEAT_EXPIRY_MS."""
        packed = WORKERS.call([self._beats, self._infos], BEAT_EXPIRY_MS)
        rows: Sequence[tuple[bytes, bytes, int]] = await self._pipe.submit(packed)
        return [Worker(name.decode(), info, int(age)) for name, info, age in rows]

    async def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await disconnect(link)

    async def aclose(self) -> None:
        """Close the connections. Cancel tasks in wait() first."""
        await self._drop_link()
        await self._pipe.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _jobs(rows: Sequence[tuple[bytes, bytes, bytes, int, int]]) -> list[Job]:
    return [
        Job(id=job_id.decode(), key=key.decode(), payload=payload, token=token, deliveries=count)
        for job_id, key, payload, token, count in rows
    ]


_queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Queue]] = (
    weakref.WeakKeyDictionary()
)


def get_queue(name: str) -> Queue:
    """The running event loop's queue of that name, created on first use."""
    queues = _queues.setdefault(asyncio.get_running_loop(), {})
    if name not in queues:
        queues[name] = Queue(name)
    return queues[name]


async def close_queues() -> None:
    """Close the running loop's queues."""
    for queue in _queues.pop(asyncio.get_running_loop(), {}).values():
        with suppress(RedisError, OSError):
            await queue.aclose()
