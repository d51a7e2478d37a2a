"""Measures the time of a token from the model to the client, and the least that it could be."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from streams.pipe import pack
from tests.bench.bench import Bench
from tests.bench.people import Person, crowd, now_ns, question, start_answers
from tests.bench.processes import CpuMeter
from tests.bench.report import Row, percentile, spread
from tests.bench.wire import Socket

RATE = 50
LEVELS = (1, 10, 50, 100, 200)
QUICK_LEVELS = (1, 10)
WARM_UP_S = 1.0
# Time allowed to start each answer: all must still be running when the last one has begun.
ASK_S = 0.03
# (must, aim) of p50, p95 and p99 in ms. At 1 answer the aim is twice the floor, in rows of its own.
BUDGETS: dict[int, tuple[tuple[float | None, float | None], ...]] = {
    1: ((5, None), (10, None), (20, None)),
    50: ((20, 10), (None, None), (80, 40)),
    200: ((None, None), (None, None), (500, 100)),
}
SAMPLES, QUICK_SAMPLES = 150, 50
BURST_CHUNKS, QUICK_BURST_CHUNKS = 20_000, 4_000


async def latency(bench: Bench) -> None:
    """Measures added latency at 50 tokens a second per answer, for several numbers of answers."""
    levels = QUICK_LEVELS if bench.quick else LEVELS
    window_s = 2.0 if bench.quick else 5.0
    floor = await _floor(bench, QUICK_SAMPLES if bench.quick else SAMPLES)
    bench.rows += [Row("floor", f"XADD + echo {name}", ms, "ms") for name, ms in floor.items()]
    async with crowd(bench.url, max(levels)) as people:
        for level in levels:
            found = await _level(bench, people[:level], window_s)
            bench.details[f"latency {level}"] = found
            _report(bench, level, found, floor)


async def _level(bench: Bench, people: list[Person], window_s: float) -> dict[str, Any]:
    tokens = int(RATE * (len(people) * ASK_S + WARM_UP_S + window_s + 1))
    await start_answers(people, tokens, RATE)
    await asyncio.sleep(WARM_UP_S)
    sockets = [person.socket for person in people if person.socket]
    cpu, begin = CpuMeter(bench.all_pids()), now_ns()
    received = sum(socket.received for socket in sockets)
    await asyncio.sleep(window_s)
    end = now_ns()
    received = sum(socket.received for socket in sockets) - received
    shares = {name: spent / window_s for name, spent in cpu.seconds().items()}
    early = sum(person.ended.is_set() for person in people)
    await asyncio.gather(*(person.settled() for person in people))
    arrived = [
        (came - sent) / 1e6
        for person in people
        for _, sent, came in person.tokens
        if begin <= came < end
    ]
    every = [number for person in people for number, _, _ in person.tokens]
    assert len(every) == tokens * len(people), "tokens were lost"
    frames = sum(person.frames_with_tokens for person in people)
    return spread(arrived) | {
        "delivered": len(arrived) / (end - begin) * 1e9,
        "wanted": float(RATE * len(people)),
        "ended_early": early,
        "wire_bytes_a_token": received / max(1, len(arrived)),
        "tokens_a_frame": len(every) / frames,
        "cpu": shares,
    }


def _report(bench: Bench, level: int, found: dict[str, Any], floor: dict[str, float]) -> None:
    name = "latency"
    budgets = BUDGETS.get(level, ((None, None),) * 3)
    answers = f"{level} answer{'s' * (level > 1)}"
    for which, (must, aim) in zip(("p50", "p95", "p99"), budgets, strict=True):
        bench.rows.append(Row(name, f"{answers} {which}", found[which], "ms", must, aim))
    if level == 1:
        for which in ("p50", "p95", "p99"):
            ratio = found[which] / floor[which]
            bench.rows.append(Row(name, f"{answers} {which} / floor", ratio, "x", None, 2))
    share = 100 * found["delivered"] / found["wanted"]
    must_all = 97 if level == 200 else None
    bench.rows.append(
        Row(name, f"{answers} delivered", share, "%", must_all, None, more_is_better=True)
    )
    bench.rows += [
        Row("cpu", f"{answers} {process}", 100 * used, "%")
        for process, used in found["cpu"].items()
    ]


# The floor


async def _floor(bench: Bench, samples: int) -> dict[str, float]:
    """Times one durable XADD followed by one echo, at the rate of the tokens."""
    async with _echo() as url, _redis(bench.redis_url) as (reader, writer):
        came = asyncio.Event()
        stream = await Socket.open(url, "/echo", lambda text, now: came.set())
        command = pack("XADD", "bench:floor", "*", "d", b"x" * 150)
        times: list[float] = []
        for _ in range(samples):
            await asyncio.sleep(1 / RATE)
            began = time.monotonic_ns()
            writer.write(command)
            await reader.readline()
            await reader.readline()
            came.clear()
            stream.send({"text": "x" * 150})
            await came.wait()
            times.append((time.monotonic_ns() - began) / 1e6)
        writer.write(pack("DEL", "bench:floor"))
        await reader.readline()
        stream.close()
    return spread(times)


@asynccontextmanager
async def _echo() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.echo", "--fd", str(listening.fileno())],
            pass_fds=[listening.fileno()],
            env=os.environ | {"PYTHONPATH": os.getcwd() if not sys.path[0] else sys.path[0]},
        )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait(10)


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(urlsplit(url).path)
    try:
        yield reader, writer
    finally:
        writer.close()


# A model without a rate limit, and the first token


async def burst(bench: Bench) -> None:
    """Measures one answer of many chunks that the model sends as fast as it can."""
    chunks = QUICK_BURST_CHUNKS if bench.quick else BURST_CHUNKS
    async with crowd(bench.url, 1) as [person]:
        cpu = CpuMeter(bench.all_pids())
        await person.ask_again(question(chunks, 0))
        await asyncio.wait_for(person.ended.wait(), 120)
        began, last = person.tokens[0][1], person.tokens[-1][2]
        assert len(person.tokens) == chunks
        speed = chunks / (last - began) * 1e9
        bench.details["burst"] = {"cpu_s": cpu.seconds(), "frames": person.frames_with_tokens}
    bench.rows.append(
        Row("burst", f"one answer, {chunks:,} chunks", speed, "chunks/s", 3_000, None, True)
    )


async def first_token(bench: Bench) -> None:
    """Measures from the send to the first token at the client; the scripted model does not wait."""
    samples = 15 if bench.quick else 40
    times: list[float] = []
    own: list[float] = []
    accepted: list[float] = []
    async with crowd(bench.url, 1) as [person]:
        for _ in range(samples):
            await person.first_exchange()
            await asyncio.sleep(0.05)
            began = now_ns()
            await person.ask_again(question(3, 0))
            accepted.append((now_ns() - began) / 1e6)
            await asyncio.wait_for(person.first_token.wait(), 30)
            times.append((person.tokens[0][2] - began) / 1e6)
            own.append((person.tokens[0][1] - began) / 1e6)
            await person.settled()
    bench.details["first token"] = {"to_model": spread(own), "accepted": spread(accepted)}
    bench.rows += [
        Row("first token", "send -> first token p50", percentile(times, 50), "ms", 20, 10),
        Row("first token", "send -> first token p95", percentile(times, 95), "ms"),
        Row("first token", "send -> accepted (202) p50", percentile(accepted, 50), "ms"),
    ]
