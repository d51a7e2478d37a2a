"""Locks for work that many processes could do and only one should: `run_exclusively`.

A lock is a key in Redis that holds its holder's token. It expires after LEASE_MS unless the holder
renews it, so a dead holder's lock becomes free. Redis's clock may be set back, and then the key
does not expire; therefore renewals are counted. A process that wants the lock and has seen the same
count for a whole lease, by its own clock, takes the lock as well. A holder that lost its lock (it
was paused for longer than a lease, or cut off from Redis) has its work cancelled. The work must
still be harmless when two processes do it: a thread that is frozen in the middle of a statement
cannot be cancelled.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from django.conf import settings
from redis.exceptions import ResponseError

from .errors import LogUnavailableError
from .keys import valid_name
from .pipe import PipelinedConnection, Script

logger = logging.getLogger(__name__)

__all__ = ["run_exclusively"]

LEASE_MS = 15_000
# The holder renews its lock this many times per lease, so two renewals in a row may fail.
RENEWALS_PER_LEASE = 3
TAKE, RELEASE = Script("lock_take"), Script("lock_release")
REDIS_ERRORS = (LogUnavailableError, ResponseError)
# Locks that another process holds, by key: the value seen in Redis, and since when by our clock.
_seen: dict[str, tuple[bytes, float]] = {}


async def run_exclusively(
    name: str, work: Callable[[], Awaitable[object]], *, lease_ms: int = LEASE_MS
) -> bool:
    """Run `work` under the lock `name`. True if it ran to its end.

    False if another process holds the lock, Redis cannot be reached, or the lock was lost before
    the work ended. Raises whatever `work` raises.
    """
    # Published: workers of two releases run side by side during a deploy.
    key = f"{settings.STREAMS_PREFIX}:{{turn:{valid_name(name)}}}"
    timeout_ms = lease_ms // RENEWALS_PER_LEASE
    pipe = PipelinedConnection(settings.REDIS_URL, timeout_ms=timeout_ms, scripts=(TAKE, RELEASE))
    lock = _Lock(pipe, key, lease_ms)
    try:
        return await lock.acquire() and await _run_while_held(name, work, lock)
    finally:
        # Shielded, so that a cancellation here does not leave the connection open.
        await asyncio.shield(asyncio.ensure_future(pipe.aclose()))


async def _run_while_held(name: str, work: Callable[[], Awaitable[object]], lock: "_Lock") -> bool:
    working = asyncio.ensure_future(work())
    renewing = asyncio.create_task(lock.renew_until_lost())
    try:
        await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        logger.warning("lost the lock %s; another process may take over", name)
        return False
    finally:
        for task in (working, renewing):
            task.cancel()
        await asyncio.gather(working, renewing, return_exceptions=True)
        await lock.release()


class _Lock:
    def __init__(self, pipe: PipelinedConnection, key: str, lease_ms: int) -> None:
        self._pipe = pipe
        self._key = key
        self._lease_ms = lease_ms
        self._token = uuid.uuid4().hex
        self._renewals = 0

    async def acquire(self) -> bool:
        """Take the lock. False if another process holds it, or Redis cannot be reached."""
        try:
            return await self._take_or_renew()
        except REDIS_ERRORS as error:
            logger.warning("Redis is unavailable; the lock is not taken: %s", error)
            return False

    async def renew_until_lost(self) -> None:
        """Renew the lock; return when it is lost, or may be."""
        held_until = time.monotonic() + self._lease_ms / 1000
        while time.monotonic() < held_until:
            await asyncio.sleep(self._lease_ms / 1000 / RENEWALS_PER_LEASE)
            renewed_at = time.monotonic()
            with suppress(*REDIS_ERRORS):
                if not await self._take_or_renew():
                    return
                held_until = renewed_at + self._lease_ms / 1000

    async def release(self) -> None:
        """Release the lock. If that fails, the lock expires."""
        with suppress(*REDIS_ERRORS):
            await self._pipe.submit(RELEASE.call([self._key], self._token))

    async def _take_or_renew(self) -> bool:
        """Take or renew the lock. False if another process holds it."""
        self._renewals += 1
        args = (self._token, self._renewals, self._lease_ms, self._expired_value())
        other: bytes = await self._pipe.submit(TAKE.call([self._key], *args))
        if other and _seen.get(self._key, (b"",))[0] != other:
            _seen[self._key] = (other, time.monotonic())
        elif not other:
            _seen.pop(self._key, None)
        return not other

    def _expired_value(self) -> bytes:
        """The key's value that has not changed for a lease by our clock; empty if there is none."""
        value, since = _seen.get(self._key, (b"", 0.0))
        return value if time.monotonic() - since > self._lease_ms / 1000 else b""
