"""Turns at work that many processes could do and one should: `alone`.

A turn is a key in Redis with the holder's token, which lapses unless it is renewed; so a turn whose
holder died is free again after LEASE_MS. Redis's clock may be set back, and then the key stays: so
a holder's renewals are counted, and a count that stood still for a lease by the clock of somebody
who wants the turn has lapsed as well. Who lost theirs (paused for longer, cut off from Redis)
is cancelled. Work done in turns must still be harmless when it is done twice: a thread that was
frozen in the middle of a statement cannot be called back.
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
from .pipe import Pipe, Script

logger = logging.getLogger(__name__)

__all__ = ["alone"]

LEASE_MS = 15_000
# Of a lease, until it is renewed: two renewals may fail.
RENEW_PART = 3
TAKE, DROP = Script("turn_take"), Script("turn_drop")
AWAY = (LogUnavailableError, ResponseError)
# Turns that this process found taken: what stood there, and since when by its own clock.
_taken: dict[str, tuple[bytes, float]] = {}


async def alone(
    name: str, work: Callable[[], Awaitable[object]], *, lease_ms: int = LEASE_MS
) -> bool:
    """Do the work, unless somebody is at it or Redis is away; True when it was done to its end.

    Raises what the work raises.
    """
    key = f"{settings.STREAMS_PREFIX}:{{turn:{valid_name(name)}}}"
    pipe = Pipe(settings.REDIS_URL, timeout_ms=lease_ms // RENEW_PART, scripts=(TAKE, DROP))
    turn = _Turn(pipe, key, lease_ms)
    try:
        return await turn.take_first() and await _do(name, work, turn)
    finally:
        # Whoever is cancelled here does not leave the connection open.
        await asyncio.shield(asyncio.ensure_future(pipe.aclose()))


async def _do(name: str, work: Callable[[], Awaitable[object]], turn: "_Turn") -> bool:
    working = asyncio.ensure_future(work())
    keeping = asyncio.create_task(turn.keep())
    try:
        await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        logger.warning("the turn at %s was lost; somebody else goes on", name)
        return False
    finally:
        for task in (working, keeping):
            task.cancel()
        await asyncio.gather(working, keeping, return_exceptions=True)
        await turn.drop()


class _Turn:
    def __init__(self, pipe: Pipe, key: str, lease_ms: int) -> None:
        self._pipe = pipe
        self._key = key
        self._lease_ms = lease_ms
        self._token = uuid.uuid4().hex
        self._renewals = 0

    async def take(self) -> bool:
        """Or renew it. False: somebody else has it."""
        self._renewals += 1
        args = (self._token, self._renewals, self._lease_ms, self._lapsed())
        holder: bytes = await self._pipe.submit(TAKE.call([self._key], *args))
        if holder and _taken.get(self._key, (b"",))[0] != holder:
            _taken[self._key] = (holder, time.monotonic())
        elif not holder:
            _taken.pop(self._key, None)
        return not holder

    def _lapsed(self) -> bytes:
        holder, since = _taken.get(self._key, (b"", 0.0))
        return holder if time.monotonic() - since > self._lease_ms / 1000 else b""

    async def take_first(self) -> bool:
        """False as well when Redis is away: it is left for later."""
        try:
            return await self.take()
        except AWAY as error:
            logger.warning("Redis is away, a turn is left for later: %s", error)
            return False

    async def keep(self) -> None:
        """Renew until it is lost, or might be."""
        sure_until = time.monotonic() + self._lease_ms / 1000
        while time.monotonic() < sure_until:
            await asyncio.sleep(self._lease_ms / 1000 / RENEW_PART)
            asked_at = time.monotonic()
            with suppress(*AWAY):
                if not await self.take():
                    return
                sure_until = asked_at + self._lease_ms / 1000

    async def drop(self) -> None:
        """If it cannot be dropped it lapses."""
        with suppress(*AWAY):
            await self._pipe.submit(DROP.call([self._key], self._token))
