"""Runs the chores that the apps have registered (streams/chores.py)."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from chat.generation.loops import is_cancelled, run_safely
from streams.chores import Chore, make_all_chores


def _never() -> bool:
    return False


class ChoreRunner:
    """Runs each chore in a task of its own, so that a slow one delays no other.

    `own_chores` are those of the worker itself; `is_busy` says whether it generates answers.
    """

    def __init__(
        self, own_chores: Iterable[Chore] = (), is_busy: Callable[[], bool] = _never
    ) -> None:
        self._chores = [*make_all_chores(), *own_chores]
        self._is_busy = is_busy
        self._is_leader = True
        self._wake_events = {chore.name: asyncio.Event() for chore in self._chores}

    def start(self) -> list[asyncio.Task[None]]:
        """The tasks; they run until they are cancelled."""
        return [asyncio.create_task(self._run_forever(chore)) for chore in self._chores]

    def wake(self, message_type: str) -> None:
        """Start the next run of the chores that wait for messages of this type."""
        for chore in self._chores:
            if chore.wake_on == message_type:
                self._wake_events[chore.name].set()

    def note_leader(self, is_leader: bool) -> None:
        """Whether this worker runs the chores at their intervals. A new leader runs all at once:
        the former one may have died in the middle."""
        if is_leader and not self._is_leader:
            for event in self._wake_events.values():
                event.set()
        self._is_leader = is_leader

    def note_busy(self) -> None:
        """This worker has begun or ended an answer."""
        for chore in self._chores:
            if chore.busy_interval_s is not None:
                self._wake_events[chore.name].set()

    async def _run_forever(self, chore: Chore) -> None:
        wake_event = self._wake_events[chore.name]
        must_run = True
        while not is_cancelled():
            must_run = must_run or wake_event.is_set()
            wake_event.clear()
            if must_run or self._runs_here(chore):
                must_run = not await run_safely(chore.name, chore.run)
            pause_s = self._interval_s(chore)
            if must_run:
                pause_s = min(pause_s, chore.retry_s)
            # With many answers, each of which wakes it, it would otherwise run all the time.
            least_s = chore.busy_interval_s or 0.0
            await asyncio.sleep(least_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, pause_s - least_s)):
                    await wake_event.wait()

    def _runs_here(self, chore: Chore) -> bool:
        is_busy = chore.busy_interval_s is not None and self._is_busy()
        return self._is_leader or chore.everywhere or is_busy

    def _interval_s(self, chore: Chore) -> float:
        if chore.busy_interval_s is not None and self._is_busy():
            return chore.busy_interval_s
        return chore.interval_s
