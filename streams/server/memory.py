"""How full Redis is, so that new text can be refused before Redis refuses everything."""

import re
import time

from redis.exceptions import ResponseError

from streams.pipe import PipelinedConnection

# How long an answer of Redis is cached: far less than the time it takes to fill the reserve.
CACHED_S = 1.0
_FIELD = re.compile(rb"^(used_memory|maxmemory|mem_not_counted_for_evict):(\d+)", re.MULTILINE)


class Memory:
    def __init__(self, pipe: PipelinedConnection) -> None:
        self._pipe = pipe
        self._percent = 0.0
        self._asked_at: float | None = None

    async def percent(self) -> float:
        """The percentage of `maxmemory` in use; 0 without a limit, or if Redis does not report
        it."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= CACHED_S:
            self._percent = await self._ask()
            self._asked_at = now
        return self._percent

    async def _ask(self) -> float:
        try:
            info: bytes = await self._pipe.execute("INFO", "memory")
        except ResponseError:
            return 0.0
        sizes = {name: int(number) for name, number in _FIELD.findall(info)}
        # Buffers of replicas and of the append-only file do not count towards the limit.
        used = sizes.get(b"used_memory", 0) - sizes.get(b"mem_not_counted_for_evict", 0)
        return percent_of(used, sizes.get(b"maxmemory", 0))


def percent_of(used_bytes: int, max_bytes: int) -> float:
    return 100 * used_bytes / max_bytes if max_bytes else 0.0
