"""Runs a command and leaves neither processes nor temporary files behind, however it ends.

The tests start databases, servers and browsers, some of which they kill or orphan. On Linux this
process adopts all orphans below it, so it can end them by process id and never ends a process that
the tests did not start.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil

PR_SET_CHILD_SUBREAPER = 36
INTERRUPTED = 130
# How long remaining processes may take to end by themselves, after SIGTERM, and after SIGKILL.
PATIENCE_S = {0: 20.0, signal.SIGTERM: 20.0, signal.SIGKILL: 20.0}


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for TMPDIR. Its path is short, because paths of unix sockets must be."""
    with tempfile.TemporaryDirectory(prefix="hf-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def run(command: list[str], *, cwd: Path, env: dict[str, str]) -> int:
    """Returns the exit status of `command`; INTERRUPTED after SIGINT or SIGTERM.

    Both signals end it like Ctrl-C, and this waits for its end. Must be called from the main
    thread, without any other child.
    """
    _adopt_orphans()
    interrupted = told = False
    process: subprocess.Popen[bytes] | None = None

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted, told
        interrupted = True
        # A terminal sends Ctrl-C to the command, too. A second SIGINT would interrupt its cleanup.
        if process and not told and (number == signal.SIGTERM or not os.isatty(0)):
            told = True
            process.send_signal(signal.SIGINT)

    with _handling(interrupt):
        process = subprocess.Popen(command, cwd=cwd, env=env)
        if interrupted:  # The signal came before the process had started.
            process.send_signal(signal.SIGINT)
        status = _reap_until(process)
        _end_the_rest()
    return INTERRUPTED if interrupted else status


@contextlib.contextmanager
def _handling(handler: signal.Handlers | object) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handler) for number in numbers}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_until(process: subprocess.Popen[bytes]) -> int:
    """Waits for `process` and reaps adopted ones, because tests check that processes are gone."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode


def _end_the_rest() -> None:
    for number, patience_s in PATIENCE_S.items():
        deadline = time.monotonic() + patience_s
        for left in _left():
            with contextlib.suppress(psutil.NoSuchProcess):
                if number:
                    left.send_signal(number)
        while _left():
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return


def _left() -> list[psutil.Process]:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return psutil.Process().children(recursive=True)
