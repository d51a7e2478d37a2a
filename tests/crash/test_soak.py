"""Well-behaved people chat while one attacker after another does their worst.

None of their answers is lost, broken or taken over, and every process stays within its memory,
which comes back. In the gate 6 people ask without a pause, some seconds of each attack, and no
limit counts requests: bounds alone hold. With `manage.py test --full` it is as in life: 50 people
who read before they ask again, a minute of each attack, everybody on an address of their own, the
limits as shipped. Their delays are printed; the budget for the time from the model to the reader is
500 ms at the 99th percentile. (A timing is no assertion: machines are noisy.)
"""

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.bench.bench import played_model
from tests.bench.report import percentile
from tests.client import Client
from tests.crash.attackers import ATTACKS
from tests.stack import clean_environment

MEGABYTE = 1_000_000
# For one process, on top of what files and their pages take.
MOST_MB = {"web": 250, "worker": 300}
ATTACKER = Path(__file__).parent / "attackers.py"
ATTACKERS_ADDRESS = "127.0.2.1"
ENVIRONMENT = {
    "CREDIT_GUEST_MICRO_USD": "100000000",
    "HOLDFAST_BACKGROUND_CALLS": "False",
}


@dataclass(frozen=True)
class Habits:
    """How people ask: so many tokens, at so many a second, and then they read for a while."""

    tokens: int
    rate: int
    pause_s: tuple[float, float]


HURRIED = Habits(tokens=30, rate=60, pause_s=(0.3, 0.3))
IN_LIFE = Habits(tokens=100, rate=40, pause_s=(4, 8))


@dataclass
class Phase:
    """What people felt meanwhile: from the send to the first text, from the model to the reader."""

    name: str
    first_ms: list[float] = field(default_factory=list)
    added_ms: list[float] = field(default_factory=list)
    most_mb: dict[str, float] = field(default_factory=dict)
    attacker: str = ""

    def __str__(self):
        memory = ", ".join(f"{name} {mb:.0f}" for name, mb in sorted(self.most_mb.items()))
        first, added = spread(self.first_ms), spread(self.added_ms)
        return (
            f"{self.name:26} {len(self.first_ms):5} answers, first text {first}, added {added}; "
            f"MB {memory}; {self.attacker}"
        )


def spread(values):
    return f"p50 {percentile(values, 50):.0f} p99 {percentile(values, 99):.0f} ms"


async def talk(client, habits, last, until, phase):
    """One question after another, each read to its end and checked token by token."""
    parent = last.get(client)
    await asyncio.sleep(random.uniform(0, habits.pause_s[1]))
    while time.monotonic() < until:
        text = f"[[tokens={habits.tokens}&rate={habits.rate}&mode=timestamps]] {phase.name}"
        began, began_seen = time.monotonic(), len(client.seen)
        reply = await client.send(text, parent=parent)
        await client.until(reply, lambda message: bool(str(message.text)) or message.error)
        phase.first_ms.append(1000 * (time.monotonic() - began))
        message = await client.settled(reply)
        assert message.status == "done", (phase.name, message.status, message.error)
        assert message.attempt <= 1 and not message.seams, (phase.name, "taken over")
        sent = [token.split(":") for token in str(message.text).split()]
        assert [int(number) for number, _ in sent] == list(range(habits.tokens)), phase.name
        phase.added_ms += added_ms(client.seen[began_seen:], reply)
        client.seen.clear()
        parent = last[client] = reply
        await asyncio.sleep(random.uniform(*habits.pause_s))


def added_ms(seen, reply):
    """Milliseconds of each token of the reply, from the model to the reader."""
    pieces = ((came, event.get("text") or "") for came, _, event in seen if is_text(event, reply))
    found, held = [], ""
    for came, piece in pieces:
        *whole, held = (held + piece).split(" ")
        found += [1000 * came - int(token.partition(":")[2]) / 1e6 for token in whole]
    return found


def is_text(event, reply):
    return event["type"] == "message.delta" and event["message"] == reply


async def watch_memory(stack, phase, until):
    while time.monotonic() < until:
        for name, mb in memory_of(stack).items():
            phase.most_mb[name] = max(mb, phase.most_mb.get(name, 0))
        await asyncio.sleep(0.2)


def memory_of(stack):
    """MB of each web process and worker, without what they share."""
    found = {}
    for name, pid in stack.processes().items():
        kind = name.partition("-")[0]
        if kind in MOST_MB:
            found[name] = psutil.Process(pid).memory_info().rss / MEGABYTE
    return found


async def run_phase(stack, name, seconds, people, habits, last):
    phase = Phase(name)
    attacker = None
    if name in ATTACKS:
        attacker = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ATTACKER), name, stack.url, str(seconds), ATTACKERS_ADDRESS),
            stdout=asyncio.subprocess.PIPE,
            env=clean_environment(),
        )
    until = time.monotonic() + seconds
    try:
        talks = (talk(client, habits, last, until, phase) for client in people)
        await asyncio.gather(watch_memory(stack, phase, until), *talks)
    finally:
        if attacker is not None:
            async with asyncio.timeout(30):
                out, _ = await attacker.communicate()
            phase.attacker = str(json.loads(out or b"{}"))
    return phase


async def soak(make_stack, number, seconds, habits, *, unlimited):
    with played_model() as (model_url, _):
        stack = make_stack(model_url=model_url, env=ENVIRONMENT, unlimited=unlimited).start()
        people = [Client(stack.url, address=f"127.0.1.{1 + n}") for n in range(number)]
        phases: list[Phase] = []
        last: dict[Client, str] = {}  # the last answer of each
        try:
            for person in people:
                person.keep = True
                await person.visit()
            for name in ("nobody", *attacks(), "nobody again"):
                phases.append(await run_phase(stack, name, seconds, people, habits, last))
        finally:
            await asyncio.gather(*(person.__aexit__() for person in people))
            # Seen with -s, or on failure.
            sys.stdout.write("\n".join(["", *map(str, phases)]) + "\n")
    for phase in phases:
        assert len(phase.first_ms) >= number
        for name, mb in phase.most_mb.items():
            assert mb < MOST_MB[name.partition("-")[0]], str(phase)


def attacks():
    """All of them, or those that HOLDFAST_SOAK_ATTACKS names."""
    return os.environ.get("HOLDFAST_SOAK_ATTACKS", "").split() or list(ATTACKS)


async def test_people_chat_while_they_are_attacked(make_stack):
    await soak(make_stack, 6, 3, HURRIED, unlimited=True)


@pytest.mark.full
async def test_people_chat_while_they_are_attacked_for_long(make_stack):
    await soak(make_stack, 50, 60, IN_LIFE, unlimited=False)
