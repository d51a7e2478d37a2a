"""Disturbs a running Holdfast at random for the kill run, and keeps a journal of it."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from config.supervise.data_folder import running
from tests.crash.kill_people import Person
from tests.fake_model import FakeModel
from tests.stack import Stack

# How often each disturbance is in the deck, which is shuffled again when it is used up.
DECK = {
    "kill_worker": 4,
    "kill_all_workers": 2,
    "kill_web": 4,
    "kill_redis": 3,
    "kill_up": 1,
    "freeze_worker": 5,
    "freeze_all_workers": 3,
    "freeze_web": 2,
    "freeze_redis": 2,
    "terminate_worker": 2,
    "roll_and_kill": 1,
    "kill_and_roll": 1,
    "freeze_up": 1,
    "hold_the_database": 2,
    "cut_the_model": 3,
    "drop_sockets": 4,
}
DECK_OF_POSTGRESQL = DECK | {"kill_backend": 3, "kill_postmaster": 1}
STARTS = 6


class Disturbances:
    """`database` is one of tests/crash/databases.py. `journal` lists the disturbances by time."""

    def __init__(
        self,
        stack: Stack,
        database: Any,
        model: FakeModel,
        people: list[Person],
        dice: random.Random,
    ) -> None:
        self.stack, self.database, self.model = stack, database, model
        self.people, self.dice = people, dice
        self.journal: list[str] = []
        self.cuts_ms: list[float] = []  # when the model's connections were cut (Unix time)
        self.began = time.monotonic()
        self._cards: list[str] = []
        self._restarting = asyncio.Lock()

    async def run(self, count: int) -> None:
        """Makes `count` disturbances, some at the same time; returns when all have ended."""
        under_way: set[asyncio.Task[None]] = set()
        for _ in range(count):
            if self._restarting.locked() and self.dice.random() < 0.7:
                async with self._restarting:
                    pass
            name = self._draw()
            task = asyncio.create_task(getattr(self, name)(), name=name)
            under_way.add(task)
            if self.dice.random() < 0.3:
                await asyncio.wait({task})
            await asyncio.sleep(self.dice.uniform(0.05, 0.9))
        await asyncio.gather(*under_way)

    def note(self, text: str) -> None:
        """Adds a line to the journal, and to a file in the folder HOLDFAST_TEST_LOGS if set."""
        passed_s = time.monotonic() - self.began
        self.journal.append(f"{time.strftime('%H:%M:%S')} {passed_s:7.1f} {text}")
        if folder := os.environ.get("HOLDFAST_TEST_LOGS"):
            with Path(folder, f"{self.stack.data.name}.journal").open("a") as file:
                file.write(self.journal[-1] + "\n")

    def _draw(self) -> str:
        if not self._cards:
            deck = DECK_OF_POSTGRESQL if hasattr(self.database, "kill") else DECK
            self._cards = [name for name, times in deck.items() for _ in range(times)]
            self.dice.shuffle(self._cards)
        return self._cards.pop()

    # Processes

    def _victims(self, named: Callable[[str], bool]) -> list[psutil.Process]:
        """Returns the processes that run.json names, without ids that other processes have now."""
        found = running(self.stack.data)
        return [found[name] for name in sorted(found) if named(name)]

    def _signal(self, process: psutil.Process, number: signal.Signals) -> None:
        self.note(f"{number.name} to {process.pid}")
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)

    def _one(self, kind: str) -> list[psutil.Process]:
        found = self._victims(lambda name: name.startswith(kind))
        return [self.dice.choice(found)] if found else []

    async def _send(self, what: str, victims: list[psutil.Process], number: signal.Signals) -> None:
        self.note(f"{what} ({len(victims)})")
        for process in victims:
            self._signal(process, number)

    async def _freeze(self, what: str, victims: list[psutil.Process]) -> None:
        seconds = self.dice.uniform(*self.dice.choice([(0.5, 1.5), (1.5, 3), (2, 6)]))
        self.note(f"{what} ({len(victims)}) for {seconds:.1f} s")
        for process in victims:
            self._signal(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            for process in victims:
                self._signal(process, signal.SIGCONT)

    async def kill_worker(self) -> None:
        await self._send("kill a worker", self._one("worker"), signal.SIGKILL)

    async def kill_all_workers(self) -> None:
        workers = self._victims(lambda name: name.startswith("worker"))
        await self._send("kill all workers", workers, signal.SIGKILL)

    async def kill_web(self) -> None:
        await self._send("kill web", self._one("web"), signal.SIGKILL)

    async def kill_redis(self) -> None:
        await self._send("kill redis", self._one("redis"), signal.SIGKILL)

    async def terminate_worker(self) -> None:
        await self._send("ask a worker to leave", self._one("worker"), signal.SIGTERM)

    async def freeze_worker(self) -> None:
        await self._freeze("freeze a worker", self._one("worker"))

    async def freeze_all_workers(self) -> None:
        workers = self._victims(lambda name: name.startswith("worker"))
        await self._freeze("freeze all workers", workers)

    async def freeze_web(self) -> None:
        await self._freeze("freeze web", self._one("web"))

    async def freeze_redis(self) -> None:
        await self._freeze("freeze redis", self._one("redis"))

    # The supervisor

    async def kill_up(self) -> None:
        """Kills the supervisor and starts a new `up` on the same folder."""
        async with self._restarting:
            self.note("kill the supervisor")
            self.stack.up.kill()
            await asyncio.to_thread(self.stack.wait)
            await self.start_again()

    async def start_again(self) -> None:
        """Starts `up` repeatedly, as a service manager would: a kill may interrupt its start."""
        for last in range(STARTS):
            try:
                await asyncio.to_thread(self.stack.start)
            except AssertionError:
                self.note("`up` ended while it started: " + "; ".join(self.stack.lines[-3:]))
                if last == STARTS - 1:
                    raise
            else:
                self.note("`up` is ready again")
                return

    async def roll(self) -> None:
        async with self._restarting:
            self.note("SIGHUP: replace web and workers one by one")
            self.stack.up.send_signal(signal.SIGHUP)

    async def roll_and_kill(self) -> None:
        """Kills processes during a roll that it replaces or has just started."""
        await self.roll()
        for _ in range(self.dice.randint(1, 3)):
            await asyncio.sleep(self.dice.uniform(0.1, 2))
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(self.stack.up.pid).children()
                if own := [child for child in children if is_replaced_by_a_roll(child)]:
                    self.note("kill during the roll")
                    victim = self.dice.choice(sorted(own, key=lambda child: child.pid))
                    self._signal(victim, signal.SIGKILL)

    async def kill_and_roll(self) -> None:
        """Begins a roll while `up` restarts the process that the roll replaces first."""
        await self.kill_web()
        await asyncio.sleep(self.dice.uniform(0, 0.02))
        await self.roll()

    async def freeze_up(self) -> None:
        """Freezes the supervisor, so that it restarts no process and reads no output."""
        async with self._restarting:
            await self._freeze("freeze the supervisor", [psutil.Process(self.stack.up.pid)])

    # Everything else

    async def hold_the_database(self) -> None:
        """Blocks writers, as a backup or a long query does."""
        seconds = self.dice.uniform(0.5, 4)
        self.note(f"hold the database for {seconds:.1f} s")
        await asyncio.to_thread(self.database.hold, self.stack, seconds)

    async def cut_the_model(self) -> None:
        share = self.dice.choice([0.3, 0.6, 1.0])
        self.note(f"cut {share:.0%} of the model's connections")
        self.cuts_ms.append(time.time() * 1000)
        self.model.cut(share, random.Random(self.dice.random()))

    async def drop_sockets(self) -> None:
        share = self.dice.choice([0.3, 0.6, 1.0])
        self.note(f"drop {share:.0%} of the sockets")
        for watcher in [w for one in self.people for talk in one.talks for w in talk.watchers]:
            if self.dice.random() < share:
                watcher.drop()

    async def kill_backend(self) -> None:
        self.note("kill a PostgreSQL backend")
        await asyncio.to_thread(self.database.kill, "backend", self.dice)

    async def kill_postmaster(self) -> None:
        self.note("kill the PostgreSQL server")
        await asyncio.to_thread(self.database.kill, "postmaster", self.dice)


def is_replaced_by_a_roll(child: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(word in ("web", "work") for word in child.cmdline())
    return False
