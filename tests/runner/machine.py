"""Counts the machine's cores and writes the runner's output."""

import os
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
