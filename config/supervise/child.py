"""One child of the supervisor: started, restarted, replaced, stopped.

Every process is in `processes` from its start to its end, so that `stop` ends all of them.
`current` is the one that does the work. `_keep` restarts a process that ended; `replace` waits
until a successor is ready before it ends the current process. If the current process ends while its
successor starts, the successor takes its place at once.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from config.supervise.probes import http_get, ping_redis
from config.supervise.spawn import Spawned, spawn

# After a child has run for this long, its next restart is immediate again.
WELL_AFTER_S = 5.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.25, 30.0
# A successor that is not ready within this time is ended, and the old process goes on. On a slow or
# busy machine it may only have been late, so the next successor gets twice as long.
REPLACE_READY_S, LONGEST_READY_S = 60.0, 960.0
# How long a killed process may take to end. A process that waits for a broken disk takes longer.
KILLED_WITHIN_S = 5.0
REMIND_EVERY_S = 10.0
POLL_S = 0.05
NO_LIFELINE = -1


class StartError(Exception):
    """One line: which child did not start, and why."""


class ReplaceError(Exception):
    """One line: why there is no successor. The old process goes on."""


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    argv: list[str]
    # How the process shows that it is ready: ["redis", socket], ["http", port, path], ["pipe"]
    # (config/supervise/ready.py).
    ready: list[Any]
    # Stage 0 starts first; higher stages stop first.
    stage: int
    # Seconds between SIGTERM and SIGKILL.
    stop_within_s: float
    # Whether SIGHUP replaces it.
    reloads: bool = False
    env: dict[str, str] = field(default_factory=dict)
    pass_fds: list[int] = field(default_factory=list)
    # Output lines that contain one of these strings are not shown.
    hushed: list[str] = field(default_factory=list)


class Child:
    """`say` prints a line; `changed` is called when the processes have changed."""

    def __init__(
        self,
        service: Service,
        say: Callable[[str], None],
        changed: Callable[[], None],
        lifeline: int = NO_LIFELINE,
    ) -> None:
        self.service = service
        self.say = say
        self.changed = changed
        self.lifeline = lifeline
        self.processes: list[Spawned] = []
        self.current: Spawned | None = None
        self.stopping = False
        # Set once the child has been ready. SIGHUP does not replace it earlier.
        self.started = asyncio.Event()
        self._successor: Spawned | None = None
        self._no_more_backoff = asyncio.Event()
        self._backoff_s = 0.0
        self._ready_within_s = REPLACE_READY_S
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the child, returns once it is ready, and keeps it running from then on."""
        try:
            process = self.current = self._spawn()
        except OSError as error:
            raise StartError(f"{self.service.name} could not be started ({error}).") from error
        if not await self._becomes_ready(process):
            raise StartError(f"{self.service.name} ended while starting ({process.how()}).")
        self.say("ready")
        self._keeper = asyncio.create_task(self._keep())
        self.started.set()

    async def replace(self) -> None:
        """Starts a successor, waits until it is ready, then ends the current process.

        Raises ReplaceError when there is no successor; the current process then goes on.
        """
        old = self.current
        if old is None or old.ended.done():  # A restart is due: skip its backoff.
            self._no_more_backoff.set()
            return
        try:
            successor = self._successor = self._spawn()
        except OSError as error:
            raise ReplaceError(f"it could not be started ({error})") from error
        try:
            async with asyncio.timeout(self._ready_within_s):
                is_ready = await self._becomes_ready(successor)
            problem = "" if is_ready else f"it ended while starting ({successor.how()})"
        except TimeoutError:
            problem = f"it was not ready within {self._ready_within_s:g} s"
            self._ready_within_s = min(self._ready_within_s * 2, LONGEST_READY_S)
        finally:
            self._successor = None
        if self.current is successor:  # The old process ended meanwhile.
            return
        if problem:
            await self._end(successor)
            raise ReplaceError(problem)
        self.current = successor
        self._ready_within_s = REPLACE_READY_S
        self.changed()
        await self._end(old)
        self.say(f"replaced by process {successor.pid}")

    def look(self) -> None:
        """Checks which processes have ended. Call it at SIGCHLD."""
        for process in list(self.processes):
            process.look()

    async def stop(self) -> None:
        self.stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
        await asyncio.gather(*(self._end(process) for process in self.processes))

    def kill(self) -> None:
        self.stopping = True
        for process in self.processes:
            process.send(signal.SIGKILL)

    def _spawn(self) -> Spawned:
        if self.stopping:
            raise StartError(f"{self.service.name} is being stopped.")
        process = spawn(
            self.service.argv,
            env=self.service.env,
            pass_fds=self.service.pass_fds,
            lifeline=self.lifeline,
            on_line=self._show,
        )
        self.processes.append(process)
        process.ended.add_done_callback(lambda _: self.processes.remove(process))
        # Later in the loop, once the caller has set `current` or `_successor`.
        asyncio.get_running_loop().call_soon(self.changed)
        return process

    def _show(self, line: str) -> None:
        if not any(part in line for part in self.service.hushed):
            self.say(line)

    async def _keep(self) -> None:
        while not self.stopping:
            process = self.current
            assert process is not None
            await asyncio.wait({process.ended})
            if self.stopping or self.current is not process:
                continue
            if self._successor is not None and not self._successor.ended.done():
                self.say(f"ended ({process.how()}) before its successor was ready")
                self.current = self._successor
                self.changed()
                continue
            await self._start_again(process)

    async def _start_again(self, dead: Spawned) -> None:
        if time.monotonic() - dead.started_at >= WELL_AFTER_S:
            self._backoff_s = 0.0
        problem = f"ended unexpectedly ({dead.how()}); starting it again"
        while not self.stopping and self.current is dead:
            self.say(f"{problem} {f'in {self._backoff_s:g} s' if self._backoff_s else 'now'}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._backoff_s):
                    await self._no_more_backoff.wait()
            if self.stopping:
                return
            self._no_more_backoff.clear()
            self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), LONGEST_BACKOFF_S)
            try:
                self.current = self._spawn()
            except OSError as error:  # No memory, no descriptor, no such program.
                problem = f"could not be started ({error}); trying again"

    async def _end(self, process: Spawned) -> None:
        process.send(signal.SIGTERM)
        if await _ends(process, self.service.stop_within_s):
            return
        self.say(f"did not stop within {self.service.stop_within_s:g} s; killed")
        process.send(signal.SIGKILL)
        if not await _ends(process, KILLED_WITHIN_S):
            self.say(f"process {process.pid} does not end although it was killed")

    async def _becomes_ready(self, process: Spawned) -> bool:
        """Waits until the process is ready; False if it ends instead."""
        ready = asyncio.create_task(self._wait_ready(process))
        either: set[asyncio.Future[Any]] = {process.ended, ready}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        return not process.ended.done()

    async def _wait_ready(self, process: Spawned) -> None:
        match self.service.ready:
            case ["redis", socket]:
                await until(lambda: ping_redis(socket), self.say)
            case ["http", port, path]:
                await until(lambda: http_get("127.0.0.1", port, path), self.say)
            case _:
                await asyncio.wait({process.ready})


async def _ends(process: Spawned, within_s: float) -> bool:
    await asyncio.wait({process.ended}, timeout=within_s)
    return process.ended.done()


async def until(ask: Callable[[], Awaitable[tuple[bool, str]]], say: Callable[[str], None]) -> None:
    """Calls `ask` until it succeeds; prints its answer every REMIND_EVERY_S seconds meanwhile."""
    reminded_at = time.monotonic()
    while True:
        answer = "no answer"
        with contextlib.suppress(OSError, ValueError):  # TimeoutError is an OSError.
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes as `ask` ends.
            async with asyncio.timeout(10):
                good, answer = await ask()
            if good:
                return
        if time.monotonic() - reminded_at > REMIND_EVERY_S:
            reminded_at = time.monotonic()
            say(f"not ready yet: {answer}")
        await asyncio.sleep(POLL_S)
