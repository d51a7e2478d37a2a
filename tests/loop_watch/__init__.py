"""Records the long turns of the event loops of a stack's web processes and workers.

    Stack(env=loop_watch.environment(folder)); loop_watch.long_turns(folder)

In a turn a loop runs everything that is ready. The CPU time of its thread is measured, which other
processes do not affect, so a turn is at least as long as each of its steps. The loops are those of
production (uvloop); sitecustomize.py, beside this file, watches them from inside their processes.
"""

import json
from dataclasses import dataclass
from pathlib import Path

# Shorter turns are not recorded.
LEAST_MS = 20


@dataclass(frozen=True, slots=True)
class Turn:
    """`place`: the innermost functions that ran in it, each time it had taken LEAST_MS more."""

    pid: int
    ended_s: float
    cpu_ms: float
    place: str


def environment(folder: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": str(Path(__file__).parent),
        "HOLDFAST_LOOP_TURNS": str(folder),
        "HOLDFAST_LOOP_TURNS_LEAST_MS": str(LEAST_MS),
    }


def long_turns(folder: Path, since_s: float = 0) -> list[Turn]:
    """The turns that ended after `since_s` (seconds since the epoch)."""
    lines = [line for path in folder.glob("*.turns") for line in path.read_text().splitlines()]
    turns = [Turn(**json.loads(line)) for line in lines]
    return [turn for turn in turns if turn.ended_s > since_s]
