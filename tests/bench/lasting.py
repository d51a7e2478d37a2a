"""Measures idle costs, and how long answers pause when a worker is killed or replaced."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.bench.bench import Bench
from tests.bench.people import Person, crowd, now_ns, start_answers
from tests.bench.processes import CpuMeter, memory_mb
from tests.bench.report import Row, percentile

FOLLOWERS, QUICK_FOLLOWERS = 1_000, 100
SOCKETS_A_PERSON = 20
WATCH_S, QUICK_WATCH_S = 5.0, 2.0
# Long enough for every chore that runs once in 20 s.
IDLE_S, QUICK_IDLE_S = 30.0, 2.0
RATE = 50
# Simultaneous answers when a worker is killed while all cores are busy.
BUSY_ANSWERS, QUICK_BUSY_ANSWERS = 50, 10


async def idle(bench: Bench) -> None:
    """Measures the memory and CPU of all parts after a first answer, while nobody uses them."""
    async with crowd(bench.url, 1):
        pass
    await asyncio.sleep(1)
    memory = memory_mb(bench.pids())
    cpu = CpuMeter(bench.pids())
    seconds = QUICK_IDLE_S if bench.quick else IDLE_S
    await asyncio.sleep(seconds)
    spent = cpu.seconds()
    spent.pop("others")
    for name, used in memory.items():
        bench.rows.append(Row("idle", f"memory of {name}", used, "MB"))
    bench.rows.append(Row("idle", "memory of everything", sum(memory.values()), "MB", 300, 250))
    for name, used in spent.items():
        bench.rows.append(Row("idle", f"CPU of {name}", 100 * used / seconds, "%"))
    total = 100 * sum(spent.values()) / seconds
    bench.rows.append(Row("idle", "CPU of everything", total, "%", 1, 0.3))


async def followers(bench: Bench) -> None:
    """Measures the cost of sockets that follow a chat in which nothing happens."""
    count = QUICK_FOLLOWERS if bench.quick else FOLLOWERS
    async with crowd(bench.url, count // SOCKETS_A_PERSON) as people:
        before = memory_mb(bench.pids())
        more: list[Person] = []
        began = time.monotonic()
        for person in people:
            more += await asyncio.gather(
                *(_open_another(person) for _ in range(SOCKETS_A_PERSON - 1))
            )
        opened_s = time.monotonic() - began
        await asyncio.sleep(1)
        after = memory_mb(bench.pids())
        cpu = CpuMeter(bench.pids())
        seconds = QUICK_WATCH_S if bench.quick else WATCH_S
        await asyncio.sleep(seconds)
        spent = cpu.seconds()
        for person in more:
            person.close()
    name = f"{count:,} idle followers:"
    grown = (after["web"] - before["web"]) * 1000 / len(more)
    bench.rows += [
        Row("followers", f"{name} memory of web", after["web"], "MB"),
        Row("followers", f"{name} memory per socket", grown, "kB"),
        Row("followers", f"{name} CPU of web", 100 * spent["web"] / seconds, "%"),
        Row("followers", f"{name} CPU of Redis", 100 * spent.get("redis", 0) / seconds, "%"),
        Row("followers", "sockets opened", len(more) / opened_s, "1/s"),
    ]


async def _open_another(person: Person) -> Person:
    another = Person(person.url)
    another.http.cookies = person.http.cookies
    another.chat = person.chat
    await another.open()
    another.follow()
    await asyncio.wait_for(another.live.wait(), 30)
    return another


async def killed(bench: Bench) -> None:
    """Measures the time from `kill -9` of a worker to the next token of each of its answers."""
    rounds = 1 if bench.quick else 3
    pauses = await _pauses(bench, signal.SIGKILL, rounds)
    bench.rows += [
        Row("killed", "kill -9 -> next token, median", percentile(pauses, 50), "s", 5, 2),
        Row("killed", "kill -9 -> next token, longest", max(pauses), "s", 5, 2),
    ]
    people = QUICK_BUSY_ANSWERS if bench.quick else BUSY_ANSWERS
    name = f"kill -9 -> next token, {people} answers, all cores busy"
    with full_cores():
        pauses = await _pauses(bench, signal.SIGKILL, rounds, people)
    bench.rows += [
        Row("killed", f"{name}, p50", percentile(pauses, 50), "s"),
        Row("killed", f"{name}, p95", percentile(pauses, 95), "s", 5),
        Row("killed", f"{name}, longest", max(pauses), "s"),
    ]


async def deployed(bench: Bench) -> None:
    """Measures the pause in each answer of a worker that receives SIGTERM."""
    pauses = [
        1000 * pause for pause in await _pauses(bench, signal.SIGTERM, 1 if bench.quick else 3)
    ]
    bench.rows += [
        Row("deployed", "SIGTERM -> pause, median", percentile(pauses, 50), "ms", 1000, 300),
        Row("deployed", "SIGTERM -> pause, longest", max(pauses), "ms", 1000, 300),
    ]


@contextmanager
def full_cores() -> Iterator[None]:
    """Keeps every core busy with other processes."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


async def _pauses(
    bench: Bench, number: signal.Signals, rounds: int, answers: int = 6
) -> list[float]:
    """Returns the pause, in seconds, of each answer that continued after its worker ended."""
    pauses: list[float] = []
    counted_rounds = turn = 0
    async with crowd(bench.url, answers) as people:
        # A round counts only if the worker had one of the answers.
        while counted_rounds < rounds and turn < 3 * rounds + 3:
            turn += 1
            found = await _end_worker(bench, people, number, f"worker-{turn % 2 + 1}")
            counted_rounds += bool(found)
            pauses += found
    assert pauses, "no worker had an answer when it was signalled"
    return pauses


async def _end_worker(
    bench: Bench, people: list[Person], number: signal.Signals, worker: str
) -> list[float]:
    await start_answers(people, 5 * RATE, RATE)
    await asyncio.sleep(0.3)
    signalled = now_ns()
    pid = await asyncio.to_thread(bench.stack.kill, worker, number)
    await asyncio.gather(*(person.settled() for person in people))
    assert not any(person.failed for person in people)
    await asyncio.to_thread(bench.stack.wait_replaced, worker, pid)
    await _gone(pid)
    return [_longest_gap(person, signalled) / 1e9 for person in people if person.seams]


def _longest_gap(person: Person, signalled: int) -> int:
    """Returns the longest gap between two tokens that ended after the time `signalled`."""
    times = [came for _, _, came in person.tokens]
    return max(
        after - before for before, after in zip(times, times[1:], strict=False) if after > signalled
    )


async def _gone(pid: int) -> None:
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)  # its successor must be ready before the next signal
