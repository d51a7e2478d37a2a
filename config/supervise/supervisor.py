"""Keeps the processes of one machine running: starts, restarts, replaces and stops them.

No library fits: honcho and circus are no longer maintained, and supervisord needs a configuration
file and cannot wait for readiness between starts. This module needs only the standard library and
does not load Django, so the process that lives longest is also the smallest. `up` prepares
everything and then becomes the supervisor by `exec`, with the plan as JSON in HOLDFAST_PLAN.

Redis starts first, the other processes once it is ready. SIGINT and SIGTERM stop everything in
order: web and workers, the model, Redis. A second signal kills the remaining processes. SIGHUP is a
deploy: it replaces web and workers one by one, without a gap. If one cannot be replaced, it goes on
running, and the supervisor tries again later.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.supervise import bounded_output
from config.supervise.child import NO_LIFELINE, Child, ReplaceError, Service, StartError, until
from config.supervise.probes import http_get

# The delay before an unfinished deploy is tried again. It doubles up to the longest.
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
# Several SIGCHLD can arrive as one signal, so the children are also checked this often.
CHECK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    services: list[Service]
    url: str
    # The address of /readyz.
    host: str
    port: int
    # The file with the process ids, for `doctor` and for the next `up`.
    run_path: str
    title: str
    notes: list[str]


class Supervisor:
    """`watched`: whether each child has a process beside it that watches this one
    (config/supervise/parent_death.py). On Linux the kernel does so."""

    def __init__(self, plan: Plan, *, watched: bool = sys.platform != "linux") -> None:
        self.plan = plan
        # Nothing is written to this pipe. Our end closes when this process ends, even if killed.
        lifeline, self._lifeline_held = os.pipe() if watched else (NO_LIFELINE, NO_LIFELINE)
        self.children = [self._child(service, lifeline) for service in plan.services]
        self.stop_asked = asyncio.Event()
        self.reload_asked = asyncio.Event()
        self.status = 0
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.terminal = os.isatty(0)
        self.width = max(len(service.name) for service in plan.services)
        self._last_problem = ""

    def _child(self, service: Service, lifeline: int) -> Child:
        return Child(service, lambda text: self.say(text, service.name), self._record, lifeline)

    async def run(self) -> int:
        """Returns the exit status: 0 after an orderly stop, 1 when something did not start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._ask_stop)
        loop.add_signal_handler(signal.SIGTERM, self._ask_stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGCHLD, self._check_children)
        asked = asyncio.create_task(self.stop_asked.wait())
        work = asyncio.create_task(self._work())
        await asyncio.wait({asked, work}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        (fault,) = await asyncio.gather(work, return_exceptions=True)
        self.stop_asked.set()  # A signal from now on is a second one.
        await self._stop()
        _ignore_signals(loop)
        if isinstance(fault, Exception):
            raise fault
        return self.status

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_periodically())
            group.create_task(self._start())
            group.create_task(self._reload_when_asked())

    async def _start(self) -> None:
        began_at = time.monotonic()
        self.say(self.plan.title)
        try:
            first = [child.start() for child in self.children if child.service.stage == 0]
            await asyncio.gather(*first)
            rest = [child.start() for child in self.children if child.service.stage > 0]
            await asyncio.gather(*rest)
        except StartError as error:
            self.say(f"holdfast: {error}")
            self.status = 1
            self.stop_asked.set()
            return
        host, port = self.plan.host, self.plan.port
        await until(lambda: http_get(host, port, "/readyz"), self.say)
        for note in self.plan.notes:
            self.say(note)
        seconds = time.monotonic() - began_at
        self.say(f"\n  Holdfast is ready: {self.plan.url}   ({seconds:.1f} s; Ctrl-C stops it)\n")

    async def _reload_when_asked(self) -> None:
        """Reloads at each signal. A child that cannot be replaced goes on running, and this tries
        again later or at the next signal."""
        left: list[Child] = []
        retry_s = FIRST_RETRY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(retry_s if left else None):
                    await self.reload_asked.wait()
            if self.reload_asked.is_set():
                self.reload_asked.clear()
                left = [child for child in self.children if child.service.reloads]
                retry_s = FIRST_RETRY_S
            left = await self._reload(left, retry_s)
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    async def _reload(self, children: list[Child], retry_s: float) -> list[Child]:
        """Replaces one after the other; returns the children that were not replaced."""
        for position, child in enumerate(children):
            if child.current is None:  # Its first start will already run the new code.
                continue
            await child.started.wait()
            try:
                await child.replace()
            except StartError:  # All is being stopped.
                return []
            except ReplaceError as problem:
                child.say(
                    f"not replaced: {problem}. The old process goes on; "
                    f"trying again in {retry_s:g} s, or at SIGHUP"
                )
                return children[position:]
        return []

    def say(self, text: str, name: str = "") -> None:
        """Prints one line with the time and the name of the child. Never waits for a reader."""
        if name:
            prefix = f"{time.strftime('%H:%M:%S')} {name:{self.width}} |"
            text = f"\033[2m{prefix}\033[0m {text}" if self.colour else f"{prefix} {text}"
        sys.stdout.write(text + "\n")

    def _record(self) -> None:
        """Writes run.json. The processes keep running if the disk is full or gone."""
        children = {
            child.service.name: (child.current.pid, child.current.began_at_s)
            for child in self.children
            if child.current is not None
        }
        others = [
            (process.pid, process.began_at_s)
            for child in self.children
            for process in child.processes
            if process is not child.current
        ]
        run = {
            "pid": os.getpid(),
            "url": self.plan.url,
            "children": children,
            "others": others,  # Successors, and processes that are being replaced.
        }
        fresh = Path(self.plan.run_path + ".new")
        try:
            fresh.write_text(json.dumps(run), encoding="utf-8")
            fresh.replace(self.plan.run_path)
            self._last_problem = ""
        except OSError as error:
            problem = f"{self.plan.run_path} cannot be written: {error.strerror}"
            if problem != self._last_problem:
                self.say(problem)
            self._last_problem = problem

    def _check_children(self) -> None:
        for child in self.children:
            child.look()

    async def _check_periodically(self) -> None:
        while True:
            self._check_children()
            await asyncio.sleep(CHECK_EVERY_S)

    def _ask_stop(self) -> None:
        if self.stop_asked.is_set():
            self.say("Killing the remaining processes.")
            for child in self.children:
                child.kill()
        self.stop_asked.set()

    def _hang_up(self) -> None:
        """Handles SIGHUP: it requests a deploy, or a stop if our terminal was closed."""
        if self.terminal and not os.isatty(0):
            self._ask_stop()
        else:
            self.reload_asked.set()

    async def _stop(self) -> None:
        self.say("Stopping.")
        checking = asyncio.create_task(self._check_periodically())
        for child in self.children:
            child.stopping = True
        for stage in sorted({child.service.stage for child in self.children}, reverse=True):
            stops = [child.stop() for child in self.children if child.service.stage == stage]
            await asyncio.gather(*stops)
        checking.cancel()
        with contextlib.suppress(OSError):
            os.unlink(self.plan.run_path)
        self.say("Stopped.")


def _ignore_signals(loop: asyncio.AbstractEventLoop) -> None:
    """All is stopped: a late signal would only replace the exit status. The loop's own handlers are
    removed first, because closing it would make the signals deadly again."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def main() -> None:
    bounded_output.install()
    plan: dict[str, Any] = json.loads(os.environ.pop("HOLDFAST_PLAN"))
    plan["services"] = [Service(**service) for service in plan["services"]]
    sys.exit(asyncio.run(Supervisor(Plan(**plan)).run()))
