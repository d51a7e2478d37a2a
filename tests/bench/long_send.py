"""Measures the longest step of a worker's event loop for a send in a chat of 1,000 messages.

A step is one callback; while it runs, the other answers of the worker wait. The worker is a process
of its own, started by this file as a script: it runs in asyncio's own loop, whose callbacks can be
timed, instead of uvloop's, which runs the same ones.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from asyncio import events
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chat import events as ev
from config.env import embedded_redis_url
from streams.log import Log
from tests.bench.bench import SETTINGS, Bench
from tests.bench.long_chat import END_OF_CHAT
from tests.bench.people import Person, question
from tests.bench.report import Row, percentile
from tests.stack import Stack

EXCHANGES = 500
# Characters of a question and of an answer, at least; some are much longer.
LEAST_CHARS, MOST_CHARS = (80, 700), 40_000
WORDS = ["a", "word", "of", "many", "`code()`", "1234", "Zürich", "日本", "\n"]
# The whole chat fits.
MODELS = "openai/script/known=8000000"
SENDS, QUICK_SENDS = 9, 3
MUST_MS, AIM_MS = 10, 5


async def long_send(bench: Bench) -> None:
    """Measures a send that the worker reads the whole chat for, and sends that follow it."""
    # The worker of the stack claims no answers: all are those of the measured one.
    env = SETTINGS | {"HOLDFAST_MODELS": MODELS, "WORK_CONCURRENCY": "0"}
    stack = Stack(model_url=bench.stack.env["OPENAI_BASE_URL"], workers=1, env=env)
    await asyncio.to_thread(stack.start)
    try:
        person = Person(stack.url)
        firsts: list[dict[str, Any]] = []
        async with _worker(stack) as worker:
            await _begin_chat(person)
            await _fill(stack, person)
            later = [await _send(worker, person) for _ in range(1 + _sends(bench))]
            firsts.append(later.pop(0))
        for _ in range(1 if bench.quick else 2):
            async with _worker(stack) as worker:
                # Not the first answer of the process, which imports modules.
                await _begin_chat(other := Person(stack.url))
                other.close()
                firsts.append(await _send(worker, person))
        person.close()
    finally:
        await asyncio.to_thread(stack.close)
    bench.details["long send"] = {"first": firsts, "later": later}
    for name, steps in (("first send of a worker", firsts), ("send", later)):
        where = f"{name} in a chat of {2 * EXCHANGES:,} messages: longest step of the loop"
        longest = percentile([step["wall_ms"] for step in steps], 50)
        cpu = percentile([step["cpu_ms"] for step in steps], 50)
        bench.rows += [
            Row("long-send", where, longest, "ms", MUST_MS, AIM_MS),
            Row("long-send", f"{where}, CPU", cpu, "ms"),
        ]


async def _begin_chat(person: Person) -> None:
    await person.visit()
    await person.ask(question(1, 0))
    await person.open()
    person.follow()
    await person.settled()


def _sends(bench: Bench) -> int:
    return QUICK_SENDS if bench.quick else SENDS


async def _send(worker: asyncio.subprocess.Process, person: Person) -> dict[str, Any]:
    """The longest step from the send to a moment after the end of the answer."""
    await _longest_step(worker)
    await person.ask_again(question(3, 0))
    await person.settled()
    await asyncio.sleep(0.3)
    return await _longest_step(worker)


async def _longest_step(worker: asyncio.subprocess.Process) -> dict[str, Any]:
    """The longest step since the last call."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(b"\n")
    longest: dict[str, Any] = json.loads(await asyncio.wait_for(worker.stdout.readline(), 120))
    return longest


@asynccontextmanager
async def _worker(stack: Stack) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.long_send",
        env=stack.env | {"HOLDFAST_DATA": str(stack.data), "WORK_CONCURRENCY": "200"},
        cwd=Path(__file__).resolve().parent.parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        await _longest_step(process)  # It answers once it is ready.
        yield process
    finally:
        process.terminate()
        await process.wait()


async def _fill(stack: Stack, person: Person) -> None:
    """Append the exchanges, and store what a send below the last one needs."""
    asked, stream = "", f"u:{uuid.UUID(person.user).hex}"
    chance = random.Random(1)
    async with Log(embedded_redis_url(stack.data)) as log:
        for _ in range(EXCHANGES):
            asked, reply = str(uuid.uuid4()), str(uuid.uuid4())
            texts = [_text(chance, least) for least in LEAST_CHARS]
            written = _exchange(asked, reply, person.reply, *texts)
            logged = [ev.log_event(person.chat, event, str(uuid.uuid4())) for event in written]
            await log.append(stream, logged)
            person.reply = reply
    row = END_OF_CHAT.format(chat=person.chat, last=person.reply, prompt=asked)
    done = await asyncio.to_thread(stack.manage, "shell", "-c", row)
    assert done.returncode == 0, done.stderr
    await asyncio.sleep(1)  # The socket has received all of it.


def _text(chance: random.Random, least: int) -> str:
    size = min(int(least * chance.paretovariate(0.9)), MOST_CHARS)
    return " ".join(chance.choices(WORDS, k=size // 4))


def _exchange(
    asked: str, reply: str, parent: str | None, question: str, answer: str
) -> list[ev.AnyEvent]:
    length, sha256 = ev.fingerprint(answer)
    model = "openai/script/known"
    return [
        ev.MessageCreated(asked, "user", parent, question),
        ev.MessageCreated(reply, "assistant", asked, model=model),
        ev.MessageStarted(reply, 1, model),
        ev.MessageCompleted(reply, "stop", model, length, sha256, 1, text=answer),
    ]


# The worker


class Steps:
    """Times every callback of the event loops of this process."""

    def __init__(self) -> None:
        self._longest: dict[str, Any] = {}
        self.forget()

    def forget(self) -> None:
        self._longest = {"wall_ms": 0.0, "cpu_ms": 0.0, "step": ""}

    def watch(self) -> None:
        run = events.Handle._run

        def timed(handle: events.Handle) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            run(handle)
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            if wall * 1000 > self._longest["wall_ms"]:
                self._longest |= {"wall_ms": wall * 1000, "step": repr(handle)[:300]}
            self._longest["cpu_ms"] = max(self._longest["cpu_ms"], cpu * 1000)

        events.Handle._run = timed  # type: ignore[method-assign,assignment]

    def report(self) -> None:
        if not os.read(sys.stdin.fileno(), 100):  # The bench has ended.
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            signal.raise_signal(signal.SIGTERM)
            return
        sys.stdout.write(json.dumps(self._longest) + "\n")
        sys.stdout.flush()
        asyncio.get_running_loop().call_soon(self.forget)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from chat.generation.worker import work

    steps = Steps()
    steps.watch()

    def tell() -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), steps.report)

    asyncio.run(work(tell))


if __name__ == "__main__":
    main()
