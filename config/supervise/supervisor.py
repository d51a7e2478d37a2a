"""Keeps the processes of one machine running: starts them in order, restarts, replaces, stops them.

Why not a library: honcho and circus are no longer kept, supervisord wants a configuration file and
has no start order that waits for readiness. This needs only the standard library, so that the
process that lives longest is the smallest: Django is not loaded here. `up` prepares everything,
then becomes this by `exec`, with what to run as JSON in HOLDFAST_PLAN.

Redis starts first, the rest once it is ready. SIGINT and SIGTERM stop everything in order: web and
workers, the model, Redis; a second one kills what is left. SIGHUP replaces web and workers one by
one, without a gap: a deploy. One that cannot be replaced stays as it is, and is tried again.
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

# Until a deploy that could not be finished is tried again; then twice as long.
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
# Signals that come together are one: this is how long an end can stay unnoticed.
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    services: list[Service]
    url: str
    # Where /readyz answers.
    host: str
    port: int
    # Where the numbers of the processes are kept, for `doctor` and for the next `up`.
    run_path: str
    title: str
    notes: list[str]


class Supervisor:
    """`watched`: whether a process beside each child watches us (config/supervise/parent_death.py);
    on Linux, the kernel does."""

    def __init__(self, plan: Plan, *, watched: bool = sys.platform != "linux") -> None:
        self.plan = plan
        # Nothing is ever written to it. The other end is cut when we end, however that comes.
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
        loop.add_signal_handler(signal.SIGCHLD, self._look)
        asked = asyncio.create_task(self.stop_asked.wait())
        work = asyncio.create_task(self._work())
        await asyncio.wait({asked, work}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        (fault,) = await asyncio.gather(work, return_exceptions=True)
        self.stop_asked.set()  # A signal from now on is a second one.
        await self._stop()
        if isinstance(fault, Exception):
            raise fault
        return self.status

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_now_and_then())
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
        """Whatever goes wrong, what runs goes on: another signal, or time, may help."""
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
        """Replaces one after the other; returns those that still run as they did."""
        for position, child in enumerate(children):
            if child.current is None:  # It will be started, from what is there then.
                continue
            await child.started.wait()
            try:
                await child.replace()
            except ReplaceError as problem:
                child.say(
                    f"not replaced: {problem}. What runs goes on; "
                    f"trying again in {retry_s:g} s, or at SIGHUP"
                )
                return children[position:]
        return []

    def say(self, text: str, name: str = "") -> None:
        """One line for the person at the terminal: the time, who says it, what. Never waits."""
        if name:
            who = f"{time.strftime('%H:%M:%S')} {name:{self.width}} |"
            text = f"\033[2m{who}\033[0m {text}" if self.colour else f"{who} {text}"
        sys.stdout.write(text + "\n")

    def _record(self) -> None:
        """A disk that is full, or gone, is no reason to run without the processes."""
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
            "others": others,  # Successors, and those that are being replaced.
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

    def _look(self) -> None:
        for child in self.children:
            child.look()

    async def _look_now_and_then(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    def _ask_stop(self) -> None:
        if self.stop_asked.is_set():
            self.say("Killing what is left.")
            for child in self.children:
                child.kill()
        self.stop_asked.set()

    def _hang_up(self) -> None:
        """Somebody asks for a deploy; or our terminal was closed, after which it is none."""
        if self.terminal and not os.isatty(0):
            self._ask_stop()
        else:
            self.reload_asked.set()

    async def _stop(self) -> None:
        self.say("Stopping.")
        looking = asyncio.create_task(self._look_now_and_then())
        for child in self.children:
            child.stopping = True
        for stage in sorted({child.service.stage for child in self.children}, reverse=True):
            stops = [child.stop() for child in self.children if child.service.stage == stage]
            await asyncio.gather(*stops)
        looking.cancel()
        with contextlib.suppress(OSError):
            os.unlink(self.plan.run_path)
        self.say("Stopped.")


def main() -> None:
    bounded_output.install()
    plan: dict[str, Any] = json.loads(os.environ.pop("HOLDFAST_PLAN"))
    plan["services"] = [Service(**service) for service in plan["services"]]
    sys.exit(asyncio.run(Supervisor(Plan(**plan)).run()))
