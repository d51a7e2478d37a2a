"""Measures the cost of beginning and ending answers, one at a time and many at once.

The scripted model takes no time and answers with three tokens, so the send, the
worker's preparation and the settlement make up almost the whole cost. `latency` measures streaming.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.bench.bench import Bench
from tests.bench.people import (
    SETTLE_TIMEOUT_S,
    Person,
    crowd,
    in_turn,
    now_ns,
    question,
    start_answers,
)
from tests.bench.processes import CpuMeter
from tests.bench.report import Row, percentile

TOKENS = 3
ALONE, QUICK_ALONE = 60, 15
AGAIN = (1, 5, 20)
AT_ONCE = (10, 50, 200)
STREAMS, STREAM_RATE, NEW_A_SECOND, OTHERS_PAUSE_S = 50, 50, 20, 4
# Budgets: must, aim.
AGAIN_A_SECOND = {20: (40, 80)}
FIRST_P95_MS = {10: (200, 100), 50: (800, 400), 200: (4_000, 1_500)}
PAGE_CPU_MS = (8, None)


@dataclass
class Delays:
    """Milliseconds from the send to the 202, and to the first token at the client."""

    accepted: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)


async def begin(bench: Bench) -> None:
    """Measures CPU per answer, answers per second, and the delays of many simultaneous sends."""
    counts = AT_ONCE[:1] if bench.quick else AT_ONCE
    window_s = 2.0 if bench.quick else 8.0
    async with crowd(bench.url, max(*counts, AGAIN[-1])) as people:
        await _alone(bench, people[0], QUICK_ALONE if bench.quick else ALONE)
        for count in AGAIN:
            await _again(bench, people[:count], window_s)
        for count in counts:
            await _at_once(bench, people[:count])
        if not bench.quick:
            await _beside_streams(bench, people, window_s)


async def _answer(person: Person, delays: Delays) -> None:
    began = time.monotonic()
    await person.ask_again(question(TOKENS, 0))
    delays.accepted.append((time.monotonic() - began) * 1000)
    await asyncio.wait_for(person.first_token.wait(), SETTLE_TIMEOUT_S)
    delays.first.append((time.monotonic() - began) * 1000)
    await person.settled()


async def _alone(bench: Bench, person: Person, answers: int) -> None:
    delays, cpu = Delays(), CpuMeter(bench.all_pids())
    for _ in range(answers):
        await _answer(person, delays)
    spent = {name: 1000 * s / answers for name, s in cpu.seconds().items()}
    ours = sum(spent[name] for name in bench.pids())
    bench.details["begin cpu ms"] = spent
    bench.rows += [
        Row("begin", "CPU for one answer, all processes", ours, "ms", 40, 20),
        *(Row("begin", f"CPU for one answer, {name}", spent[name], "ms") for name in bench.pids()),
        Row("begin", "one send: accepted p50", percentile(delays.accepted, 50), "ms", 12, 6),
        Row("begin", "one send: first token p50", percentile(delays.first, 50), "ms", 20, 10),
    ]


async def _again(bench: Bench, people: list[Person], window_s: float) -> None:
    """Each person asks again as soon as their answer has ended."""
    end, delays = time.monotonic() + window_s, Delays()

    async def ask(person: Person) -> None:
        while time.monotonic() < end:
            await _answer(person, delays)

    began = time.monotonic()
    await asyncio.gather(*(ask(person) for person in people))
    rate = len(delays.first) / (time.monotonic() - began)
    name = f"{len(people)} people, one answer after another"
    must, aim = AGAIN_A_SECOND.get(len(people), (None, None))
    bench.rows.append(Row("begin", name, rate, "answers/s", must, aim, more_is_better=True))


async def _at_once(bench: Bench, people: list[Person]) -> None:
    delays = Delays()
    await asyncio.gather(*(_answer(person, delays) for person in people))
    name = f"{len(people)} simultaneous sends"
    must, aim = FIRST_P95_MS[len(people)]
    bench.rows += [
        Row("begin", f"{name}: accepted p50", percentile(delays.accepted, 50), "ms"),
        Row("begin", f"{name}: accepted p95", percentile(delays.accepted, 95), "ms"),
        Row("begin", f"{name}: first token p50", percentile(delays.first, 50), "ms"),
        Row("begin", f"{name}: first token p95", percentile(delays.first, 95), "ms", must, aim),
    ]


async def _beside_streams(bench: Bench, people: list[Person], window_s: float) -> None:
    """Measures how much beginning other answers delays the tokens of running ones."""
    streaming, others = people[:STREAMS], people[STREAMS : STREAMS + NEW_A_SECOND * OTHERS_PAUSE_S]
    tokens = int(STREAM_RATE * (window_s + 10))
    await start_answers(streaming, tokens, STREAM_RATE)
    begun = now_ns()
    end = begun + int(window_s * 1e9)
    await asyncio.gather(*(_ask_at_intervals(person, n, end) for n, person in enumerate(others)))
    await asyncio.gather(*(person.settled() for person in streaming))
    added = [
        (came - sent) / 1e6
        for person in streaming
        for _, sent, came in person.tokens
        if begun <= came < end
    ]
    name = f"{STREAMS} streams while {NEW_A_SECOND} begin a second: added latency"
    bench.rows += [
        Row("begin", f"{name} p50", percentile(added, 50), "ms"),
        Row("begin", f"{name} p99", percentile(added, 99), "ms", 80, 40),
    ]


async def _ask_at_intervals(person: Person, number: int, end_ns: int) -> None:
    """Together, all callers start NEW_A_SECOND answers a second if each ends within the pause."""
    await asyncio.sleep(number / NEW_A_SECOND)
    while now_ns() < end_ns:
        began = time.monotonic()
        await _answer(person, Delays())
        await asyncio.sleep(max(0, OTHERS_PAUSE_S - (time.monotonic() - began)))


async def page_cpu(bench: Bench) -> None:
    """Measures the web process's CPU for the empty page, the page of a chat, and the first message
    of a guest, which creates the account."""
    requests = 20 if bench.quick else 100
    async with crowd(bench.url, 1) as [person]:
        for path, name in (("/", "GET /"), (f"/c/{person.chat}", "GET /c/<chat>")):
            await person.http.request("GET", path)
            await _web_cpu(bench, name, [partial(_get, person, path) for _ in range(requests)])
    guests = [Person(bench.url) for _ in range(requests)]
    try:
        await in_turn([guest.visit() for guest in guests])
        sends = [partial(guest.ask, question(TOKENS, 0)) for guest in guests]
        await _web_cpu(bench, "a guest's first send", sends)
    finally:
        for guest in guests:
            guest.close()


async def _get(person: Person, path: str) -> None:
    status, _, _, _ = await person.http.request("GET", path)
    assert status == 200, status


async def _web_cpu(
    bench: Bench, name: str, requests: Sequence[Callable[[], Awaitable[None]]]
) -> None:
    """Makes the requests one after another."""
    cpu = CpuMeter({name: pid for name, pid in bench.pids().items() if name.startswith("web")})
    for request in requests:
        await request()
    spent = cpu.seconds()
    ms = 1000 * sum(spent[one] for one in cpu.pids) / len(requests)
    bench.rows.append(Row("page-cpu", name, ms, "ms", *PAGE_CPU_MS))
