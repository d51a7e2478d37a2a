"""Runs the chores that the apps have registered (streams/chores.py)."""

import asyncio
from contextlib import suppress

from chat.generation.loops import is_cancelled, run_safely
from streams.chores import Chore, make_all_chores


class ChoreRunner:
    """Runs each chore in a task of its own, so that a slow one delays no other."""

    def __init__(self) -> None:
        self._chores = make_all_chores()
        self._wake_events = {chore.name: asyncio.Event() for chore in self._chores}

    def start(self) -> list[asyncio.Task[None]]:
        """The tasks; they run until they are cancelled."""
        return [asyncio.create_task(self._run_forever(chore)) for chore in self._chores]

    def wake(self, message_type: str) -> None:
        """Start the next run of the chores that wait for messages of this type."""
        for chore in self._chores:
            if chore.wake_on == message_type:
                self._wake_events[chore.name].set()

    async def _run_forever(self, chore: Chore) -> None:
        wake_event = self._wake_events[chore.name]
        while not is_cancelled():
            wake_event.clear()
            succeeded = await run_safely(chore.name, chore.run)
            pause_s = chore.interval_s if succeeded else min(chore.interval_s, chore.retry_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await wake_event.wait()
