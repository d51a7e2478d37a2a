"""How full Redis is, so that new text can be refused before Redis refuses everything."""

import re
import time

from redis.exceptions import ResponseError

from streams.pipe import Pipe

# How long what Redis said is believed: far less than it takes to fill what is kept in reserve.
BELIEVED_S = 1.0
_FIELD = re.compile(rb"^(used_memory|maxmemory|mem_not_counted_for_evict):(\d+)", re.MULTILINE)


class Memory:
    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._percent = 0.0
        self._asked_at: float | None = None

    async def percent(self) -> float:
        """The percentage of `maxmemory` in use; 0 where there is none or Redis does not say."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= BELIEVED_S:
            self._percent = await self._ask()
            self._asked_at = now
        return self._percent

    async def _ask(self) -> float:
        try:
            told: bytes = await self._pipe.execute("INFO", "memory")
        except ResponseError:
            return 0.0
        found = {name: int(number) for name, number in _FIELD.findall(told)}
        # Buffers of replicas and of the append-only file do not count for the limit.
        used = found.get(b"used_memory", 0) - found.get(b"mem_not_counted_for_evict", 0)
        return percent_of(used, found.get(b"maxmemory", 0))


def percent_of(used_bytes: int, max_bytes: int) -> float:
    return 100 * used_bytes / max_bytes if max_bytes else 0.0
