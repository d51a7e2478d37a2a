"""Well-behaved people chat while one attacker after another does their worst.

None of their answers is lost, broken or taken over, and every process stays within its memory,
which comes back. 6 people and some seconds of each attack in the gate; with `manage.py test --full`
50 people and a minute of each, and the delays of both are printed side by side: the budget is half
a second more at the 99th percentile. (A timing is no assertion: machines are noisy.)
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.client import Client
from tests.crash.attackers import ATTACKS
from tests.fake_model import text_of
from tests.stack import clean_environment

TOKENS, RATE = 30, 60
MEGABYTE = 1_000_000
# For one process, on top of what files and their pages take.
MOST_MB = {"web": 250, "worker": 300}
ATTACKER = Path(__file__).parent / "attackers.py"
ENVIRONMENT = {
    "CREDIT_GUEST_MICRO_USD": "100000000",
    "HOLDFAST_BACKGROUND_CALLS": "False",
}


@dataclass
class Phase:
    """What people felt meanwhile. Milliseconds from the send to the first text."""

    name: str
    delays_ms: list[float] = field(default_factory=list)
    most_mb: dict[str, float] = field(default_factory=dict)
    said: str = ""

    def __str__(self):
        p50, p99 = percentile(self.delays_ms, 50), percentile(self.delays_ms, 99)
        memory = ", ".join(f"{name} {mb:.0f} MB" for name, mb in sorted(self.most_mb.items()))
        delays = f"{len(self.delays_ms):5} answers, first text p50 {p50:5.0f}, p99 {p99:5.0f} ms"
        return f"{self.name:26} {delays}; {memory} {self.said}"


def percentile(values, percent):
    ordered = sorted(values)
    return (
        ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else float("nan")
    )


async def talk(client, last, number, until, phase):
    """One question after another, each read to its end and compared."""
    parent, turn = last.get(client), 0
    while time.monotonic() < until:
        turn += 1
        text = f"[[tokens={TOKENS}&rate={RATE}]] {number} {phase.name} {turn}"
        began = time.monotonic()
        reply = await client.send(text, parent=parent)
        await client.until(reply, lambda message: bool(str(message.text)) or message.error)
        phase.delays_ms.append(1000 * (time.monotonic() - began))
        message = await client.settled(reply)
        assert message.status == "done", (phase.name, message.status, message.error)
        assert str(message.text) == text_of(text, TOKENS), phase.name
        assert message.attempt <= 1 and not message.seams, (phase.name, "taken over")
        parent = last[client] = reply
        await asyncio.sleep(0.3)


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


async def run_phase(stack, name, seconds, people, last):
    phase = Phase(name)
    attacker = None
    if name in ATTACKS:
        attacker = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ATTACKER),
            name,
            stack.url,
            str(seconds),
            stdout=asyncio.subprocess.PIPE,
            env=clean_environment(),
        )
    until = time.monotonic() + seconds
    try:
        talks = (talk(client, last, n, until, phase) for n, client in enumerate(people))
        await asyncio.gather(watch_memory(stack, phase, until), *talks)
    finally:
        if attacker is not None:
            async with asyncio.timeout(30):
                out, _ = await attacker.communicate()
            phase.said = str(json.loads(out or b"{}"))
    return phase


async def soak(make_stack, fake_model, number, seconds):
    stack = make_stack(model_url=fake_model.base_url, env=ENVIRONMENT).start()
    people = [Client(stack.url) for _ in range(number)]
    phases: list[Phase] = []
    last: dict[Client, str] = {}  # the last answer of each
    try:
        await asyncio.gather(*(person.visit() for person in people))
        for name in ("nobody", *ATTACKS, "nobody again"):
            phases.append(await run_phase(stack, name, seconds, people, last))
    finally:
        await asyncio.gather(*(person.__aexit__() for person in people))
        sys.stdout.write("\n".join(["", *map(str, phases)]) + "\n")  # Seen with -s, or on failure.
    for phase in phases:
        assert len(phase.delays_ms) >= number
        for name, mb in phase.most_mb.items():
            assert mb < MOST_MB[name.partition("-")[0]], str(phase)
    return stack


async def test_people_chat_while_they_are_attacked(make_stack, fake_model):
    await soak(make_stack, fake_model, 6, 3)


@pytest.mark.full
async def test_people_chat_while_they_are_attacked_for_long(make_stack, fake_model):
    await soak(make_stack, fake_model, 50, 60)
