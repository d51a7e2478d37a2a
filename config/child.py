"""One process of the supervisor: started, seen to be ready, started again, replaced, stopped."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.probes import http_get, ping_redis

TIED = str(Path(__file__).with_name("tied.py"))
# A child that ran for this long was well: its next restart is immediate again.
WELL_AFTER_S = 5.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.25, 30.0
# A successor that has not said that it is ready by then takes over all the same.
REPLACE_READY_S = 15.0
REMIND_EVERY_S = 10.0
POLL_S = 0.05


class StartError(Exception):
    """One line: what did not start."""


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    argv: list[str]
    # How to see that it works: ["redis", socket], ["http", port, path], ["pipe"] (config/ready.py).
    ready: list[Any]
    # Lower ones stop later.
    stage: int
    # Seconds between SIGTERM and SIGKILL.
    stop_within_s: float
    # What the kernel sends it when the supervisor dies.
    tied_by: int = signal.SIGKILL
    # Whether SIGHUP replaces it.
    reloads: bool = False
    env: dict[str, str] = field(default_factory=dict)
    pass_fds: list[int] = field(default_factory=list)
    # Lines of its output with one of these in them are not shown.
    hushed: list[str] = field(default_factory=list)


class Child:
    """`say` shows a line of it to the person; `spawned` is told the number of each new process."""

    def __init__(
        self, service: Service, say: Callable[[str], None], spawned: Callable[[int], None]
    ) -> None:
        self.service = service
        self.say = say
        self.spawned = spawned
        self.process: Process | None = None
        self.retiring: Process | None = None
        self.started_at = 0.0
        self.stopping = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Starts it, returns once it is ready, and keeps it running from then on."""
        process, told = await self._spawn()
        died = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._wait_ready(told))
        try:
            await asyncio.wait({died, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            died.cancel()
        if not ready.done() or ready.cancelled():
            raise StartError(f"{self.service.name} ended while starting ({how(process)}).")
        self.say("ready")
        self._in_background(self._keep())

    async def replace(self) -> None:
        """Puts a successor in its place: that one is ready before this one is told to go."""
        self.retiring = self.process
        process, told = await self._spawn()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wait_ready(told), REPLACE_READY_S)
        await self._end(self.retiring)
        self.retiring = None
        self.say(f"replaced by process {process.pid}")

    async def stop(self) -> None:
        self.stopping = True
        await asyncio.gather(self._end(self.process), self._end(self.retiring))
        for task in self.tasks:
            task.cancel()

    def kill(self) -> None:
        self.stopping = True
        for process in (self.process, self.retiring):
            if process is not None and process.returncode is None:
                process.kill()

    async def _spawn(self) -> tuple[Process, asyncio.StreamReader]:
        service = self.service
        reader, writer = os.pipe()
        told = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(told), os.fdopen(reader, "rb")
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-ISE", TIED, str(os.getpid()), str(int(service.tied_by))),
                *service.argv,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                env=os.environ | service.env | {"HOLDFAST_READY_FD": str(writer)},
                pass_fds=(*service.pass_fds, writer),
                start_new_session=True,  # A Ctrl-C in the terminal is ours to pass on, in order.
            )
        finally:
            os.close(writer)
        self.process, self.started_at = process, time.monotonic()
        self.spawned(process.pid)
        self._in_background(self._relay(process))
        return process, told

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _relay(self, process: Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # Longer than the reader holds; its rest follows.
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text and not any(part in text for part in self.service.hushed):
                self.say(text)

    async def _keep(self) -> None:
        backoff_s = 0.0
        while not self.stopping:
            process = self.process
            assert process is not None
            await process.wait()
            if self.stopping or self.process is not process:
                continue
            if time.monotonic() - self.started_at >= WELL_AFTER_S:
                backoff_s = 0.0
            when = f"in {backoff_s:g} s" if backoff_s else "now"
            self.say(f"ended unexpectedly ({how(process)}); starting it again {when}")
            await asyncio.sleep(backoff_s)
            backoff_s = min(max(backoff_s * 2, FIRST_BACKOFF_S), LONGEST_BACKOFF_S)
            if not self.stopping and self.process is process:
                try:
                    await self._spawn()
                except OSError as error:  # No memory, no process: the loop comes by again.
                    self.say(f"could not be started ({error})")

    async def _end(self, process: Process | None) -> None:
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.service.stop_within_s)
        except TimeoutError:
            self.say(f"did not stop within {self.service.stop_within_s:g} s; killed")
            process.kill()
            await process.wait()

    async def _wait_ready(self, told: asyncio.StreamReader) -> None:
        match self.service.ready:
            case ["redis", socket]:
                await until(lambda: ping_redis(socket), self.say)
            case ["http", port, path]:
                await until(lambda: http_get("127.0.0.1", port, path), self.say)
            case _:
                if not await told.readline():
                    await asyncio.Event().wait()  # It died, which the caller learns elsewhere.


async def until(ask: Callable[[], Awaitable[tuple[bool, str]]], say: Callable[[str], None]) -> None:
    """Asks until the answer is good, and says now and then what it was instead."""
    reminded_at = time.monotonic()
    while True:
        answer = "no answer"
        with contextlib.suppress(OSError, ValueError):  # TimeoutError is an OSError.
            good, answer = await asyncio.wait_for(ask(), 10)
            if good:
                return
        if time.monotonic() - reminded_at > REMIND_EVERY_S:
            reminded_at = time.monotonic()
            say(f"not ready yet: {answer}")
        await asyncio.sleep(POLL_S)


def how(process: Process) -> str:
    status = process.returncode
    if status is None:
        return "still running"
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
