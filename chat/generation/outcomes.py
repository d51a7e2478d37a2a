"""How one worker's generation of a reply can end, and what may interrupt it."""

import asyncio
import enum
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Outcome(enum.Enum):
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    HANDED_OVER = "handed over"  # by this worker, when it leaves
    LOST = "lost"  # another worker holds the fence, or the log cannot be written


class Interrupt(enum.Enum):
    STOP = "stop"
    HAND_OVER = "hand over"
    LOST = "lost"


class Interruption:
    """Interrupts whatever a generation is waiting for. The first reason counts."""

    def __init__(self) -> None:
        self.reason: Interrupt | None = None
        self._task: asyncio.Task[Any] | None = None

    def interrupt(self, reason: Interrupt) -> None:
        self.reason = self.reason or reason
        if self._task is not None:
            self._task.cancel()

    async def run(self, work: Coroutine[None, None, T]) -> T | None:
        """The result of `work`, or None if an interruption cancelled it."""
        self._task = task = asyncio.create_task(work)
        try:
            return await task
        except asyncio.CancelledError:
            if self.reason is None:
                raise
            return None
        finally:
            self._task = None
