"""Runs a script in a process of its own with limits: accounts/child_process/launch.py.

Decoders of files are written in C and have had vulnerabilities, and a file of two kilobytes may
decode to a gigabyte. So no process that has secrets or serves other people decodes one. The child
has an empty environment and none of our open files, little memory and a few seconds, and no network
where the system allows that. It runs as the same user, so a decoder that was taken over could still
read and write this user's files: its output is never trusted.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)

LAUNCH = Path(__file__).with_name("launch.py")
WAIT_S = 15.0
START_S = 10.0  # added to the process's own time limit, for its start on a busy machine


@dataclass(frozen=True, slots=True)
class Limits:
    memory_bytes: int
    file_bytes: int  # of each file it writes, its output too
    cpu_s: int
    wall_s: int


class Busy(Exception):
    """Too many wait, or no process could be started."""


class Places:
    """Runs one process at a time, while few wait."""

    def __init__(self, waiting: int) -> None:
        """`waiting` includes the one that is running."""
        self.free = threading.BoundedSemaphore(waiting)
        self.running = threading.Lock()

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Raises Busy."""
        if not self.free.acquire(blocking=False):
            raise Busy
        try:
            if not self.running.acquire(timeout=WAIT_S):
                raise Busy
            try:
                yield
            finally:
                self.running.release()
        finally:
            self.free.release()


_children: set["subprocess.Popen[bytes]"] = set()


def kill_children() -> None:
    """End every process that runs now, because this one has to end."""
    for child in tuple(_children):
        child.kill()


def command(script: Path, arguments: Sequence[str], limits: Limits) -> list[str]:
    return [sys.executable, "-I", str(LAUNCH), json.dumps(asdict(limits)), str(script), *arguments]


def run(
    script: Path,
    arguments: Sequence[str],
    limits: Limits,
    *,
    source: IO[bytes],
    result: IO[bytes],
    folder: Path = Path("/"),
) -> bool:
    """Whether the script ended well. Raises Busy. `folder` is its current one.

    It reads and writes files instead of pipes, so that neither side waits for the other and the
    kernel limits the size of the output.
    """
    try:
        child = subprocess.Popen(  # noqa: S603  our own file
            command(script, arguments, limits),
            stdin=source,
            stdout=result,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=folder,
        )
    except OSError as error:
        logger.warning("no process could be started: %s", error)
        raise Busy from error
    _children.add(child)
    try:
        code = _wait(child, limits)
    finally:
        _children.discard(child)
    if code:
        logger.info("%s ended with %s", script.name, code)
    return code == 0


def _wait(child: "subprocess.Popen[bytes]", limits: Limits) -> int:
    try:
        return child.wait(limits.wall_s + START_S)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
