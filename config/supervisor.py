"""Keeps the processes of one machine running: starts them in order, restarts, replaces, stops them.

Why not a library: honcho and circus are no longer kept, supervisord wants a configuration file and
has no start order that waits for readiness. This needs only the standard library, so that the
process that lives longest is the smallest: Django is not loaded here. `up` prepares everything,
then becomes this by `exec`, with what to run as JSON in HOLDFAST_PLAN.

Redis starts first, the rest once it is ready. SIGINT and SIGTERM stop everything in order: web and
workers, the model, Redis; a second one kills what is left. SIGHUP replaces web and workers one by
one, without a gap: a deploy.
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

from config.child import Child, Service, StartError, until
from config.probes import http_get


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
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.children = [self._child(service) for service in plan.services]
        self.pids: dict[str, tuple[int, float]] = {}
        self.stop_asked = asyncio.Event()
        self.reload_asked = asyncio.Event()
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.terminal = os.isatty(0)
        self.width = max(len(service.name) for service in plan.services)

    def _child(self, service: Service) -> Child:
        name = service.name
        return Child(service, lambda text: self.say(text, name), lambda pid: self._note(name, pid))

    async def run(self) -> int:
        """Returns the exit status: 0 after an orderly stop, 1 when something did not start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._ask_stop)
        loop.add_signal_handler(signal.SIGTERM, self._ask_stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        asked = asyncio.create_task(self.stop_asked.wait())
        work = asyncio.create_task(self._work())
        await asyncio.wait({asked, work}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        error: BaseException | None = None
        with contextlib.suppress(asyncio.CancelledError):
            error = (await asyncio.gather(work, return_exceptions=True))[0]
        if isinstance(error, StartError):
            self.say(f"holdfast: {error}")
        self.stop_asked.set()  # A signal from now on is a second one.
        await self._stop()
        if error is not None and not isinstance(error, StartError | asyncio.CancelledError):
            raise error
        return 1 if isinstance(error, StartError) else 0

    async def _work(self) -> None:
        began_at = time.monotonic()
        self.say(self.plan.title)
        first = [child.start() for child in self.children if child.service.stage == 0]
        await asyncio.gather(*first)
        rest = [child.start() for child in self.children if child.service.stage > 0]
        await asyncio.gather(*rest)
        host, port = self.plan.host, self.plan.port
        await until(lambda: http_get(host, port, "/readyz"), self.say)
        for note in self.plan.notes:
            self.say(note)
        seconds = time.monotonic() - began_at
        self.say(f"\n  Holdfast is ready: {self.plan.url}   ({seconds:.1f} s; Ctrl-C stops it)\n")
        while True:
            await self.reload_asked.wait()
            self.reload_asked.clear()
            for child in self.children:
                if child.service.reloads:
                    await child.replace()

    def say(self, text: str, name: str = "") -> None:
        """One line for the person at the terminal: the time, who says it, what."""
        if name:
            who = f"{time.strftime('%H:%M:%S')} {name:{self.width}} |"
            text = f"\033[2m{who}\033[0m {text}" if self.colour else f"{who} {text}"
        # The terminal may be gone; the processes are not to die of it.
        with contextlib.suppress(OSError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def _note(self, name: str, pid: int) -> None:
        self.pids[name] = (pid, time.time())
        run = {"pid": os.getpid(), "url": self.plan.url, "children": self.pids}
        fresh = Path(self.plan.run_path + ".new")
        fresh.write_text(json.dumps(run), encoding="utf-8")
        fresh.replace(self.plan.run_path)

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
        for child in self.children:
            child.stopping = True
        for stage in sorted({child.service.stage for child in self.children}, reverse=True):
            stops = [child.stop() for child in self.children if child.service.stage == stage]
            await asyncio.gather(*stops)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.plan.run_path)
        self.say("Stopped.")


def main() -> None:
    plan: dict[str, Any] = json.loads(os.environ.pop("HOLDFAST_PLAN"))
    plan["services"] = [Service(**service) for service in plan["services"]]
    sys.exit(asyncio.run(Supervisor(Plan(**plan)).run()))
