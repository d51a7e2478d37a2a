"""The registry of chores: periodic work that the apps define and the workers run.

An app defines its chores in its module `chores`, in a function decorated with `register`. Workers
import these modules; web processes do not. The registry is here, below all apps, so that each app
names only its own chores.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from django.utils.module_loading import autodiscover_modules

from .lock import run_exclusively

# The usual interval, in seconds, of chores that look for work which nobody has announced: the
# message was lost, or a process died. An idle Holdfast should hardly use its database.
SWEEP_EVERY_S = 20.0
RETRY_S = 5.0


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Chore:
    """Periodic work. It must be harmless when it is repeated, or done by two workers at once.

    Every worker runs it when it starts and at each message that wakes it. In between, the leader
    (streams/queue.py: beat) runs it at its interval, so that more workers do not ask the database
    more often.

    name        identifies the chore, in log lines as well
    step        does the work once
    interval_s  seconds between the end of one run and the start of the next
    lock        name of the lock under which it runs (streams/lock.py)
    wake_on     type of the message to workers that starts the next run at once
                (accounts/sockets.py: wake_workers)
    everywhere  each worker runs it at its interval, because it concerns the process itself
    busy_interval_s  the interval of a worker that has answers to generate, leader or not; also the
                shortest pause between two runs
    is_due      asked before the lock is taken; False skips the run
    retry_s     seconds until the next run after one that raised, if shorter than `interval_s`
    """

    name: str
    step: Callable[[], Awaitable[object]]
    interval_s: float
    lock: str | None = None
    wake_on: str | None = None
    everywhere: bool = False
    busy_interval_s: float | None = None
    is_due: Callable[[], bool] = _always
    retry_s: float = RETRY_S

    async def run(self) -> None:
        """Do the work once if it is due and no other worker holds the lock. Raises its errors."""
        if not self.is_due():
            return
        if self.lock is None:
            await self.step()
        else:
            await run_exclusively(self.lock, self.step)


MakeChores = Callable[[], Iterable[Chore]]
# By the name of the module that defines it.
factories: dict[str, MakeChores] = {}


def register(make_chores: MakeChores) -> MakeChores:
    """Decorator. Each worker calls the function once, so a step may keep state in its worker."""
    factories[make_chores.__module__] = make_chores
    return make_chores


def make_all_chores() -> list[Chore]:
    """New chores of all apps, for one worker."""
    autodiscover_modules("chores")
    return [chore for make_chores in factories.values() for chore in make_chores()]
