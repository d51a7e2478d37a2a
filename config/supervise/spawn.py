"""Starts a process and follows its output, its readiness and its end.

asyncio's subprocesses do not fit: they can fail after the fork (no descriptor for the pidfd, no
thread) or be cancelled half way, which leaves a process that nobody tracks. `spawn` does not wait:
it returns the process, or raises and leaves none.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LAUNCHER = str(Path(__file__).with_name("parent_death.py"))
READ_BYTES = 65_536
# A longer line is shown in parts.
LINE_BYTES = 16_384
# Children of a process may keep its output open, which is read for this long after its end.
LAST_WORDS_S = 1.0


class Spawned:
    """A process, from its start until its exit status is known."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        loop = asyncio.get_running_loop()
        self._popen = popen
        self.pid = popen.pid
        self.began_at_s = time.time()
        self.started_at = time.monotonic()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    def look(self) -> None:
        """Checks whether the process has ended. Call it for every process at SIGCHLD."""
        if self.ended.done():
            return
        status = self._popen.poll()
        if status is not None:
            # It led a process group: end its children too.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.ended.set_result(status)

    def send(self, number: int) -> None:
        """Sends a signal; does nothing after the end, when another process may have the same id."""
        if not self.ended.done():
            self._popen.send_signal(number)

    def told_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def how(self) -> str:
        """How the process ended, as text."""
        if not self.ended.done():
            return "still running"
        status = self.ended.result()
        if status >= 0:
            return f"exit status {status}"
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:  # A real-time signal.
            return f"signal {-status}"


def spawn(
    argv: list[str],
    *,
    env: dict[str, str],
    pass_fds: list[int],
    lifeline: int,
    on_line: Callable[[str], None],
) -> Spawned:
    """Starts a process. Raises OSError if no process, memory or descriptor is left for it."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as its:
        output, its_output = _pipe(ours, its)
        told, its_told = _pipe(ours, its)
        # Redis and the model, which do not use `bounded_output`, lose lines rather than wait when
        # the supervisor is stopped and does not read them.
        os.set_blocking(its_output, False)
        watched = [lifeline] if lifeline >= 0 else []
        its_env = {"HOLDFAST_READY_FD": str(its_told), "HOLDFAST_LIFELINE": str(lifeline)}
        popen = subprocess.Popen(  # noqa: S603  Our own commands.
            [
                sys.executable,
                "-ISE",
                LAUNCHER,
                str(os.getpid()),
                str(int(signal.SIGKILL)),
                *argv,
            ],
            stdin=subprocess.DEVNULL,
            stdout=its_output,
            stderr=its_output,
            env=os.environ | env | its_env,
            pass_fds=(*pass_fds, its_told, *watched),
            start_new_session=True,  # The supervisor alone gets a Ctrl-C, and stops in order.
        )
        process = Spawned(popen)
        try:
            lines = _Pipe(output, _Lines(on_line).take)
            ready = _Pipe(told, lambda data: process.told_ready() if data else None)
        except BaseException:  # The event loop refused the pipes: undo the start.
            asyncio.get_running_loop().remove_reader(output)
            popen.kill()
            popen.wait()
            raise
        ours.pop_all()
    for pipe in (lines, ready):
        process.ended.add_done_callback(pipe.close_soon)
    return process


def _pipe(ours: contextlib.ExitStack, its: contextlib.ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    ours.callback(os.close, reader)
    its.callback(os.close, writer)
    os.set_blocking(reader, False)
    return reader, writer


class _Pipe:
    """Passes on the bytes from a pipe, then b"" at its end, and closes it."""

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._take = take
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)

    def close_soon(self, _ended: object) -> None:
        self._loop.call_later(LAST_WORDS_S, self._close)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._take(b"")


class _Lines:
    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._begun = b""

    def take(self, data: bytes) -> None:
        *whole, self._begun = (self._begun + data).split(b"\n")
        if not data or len(self._begun) > LINE_BYTES:
            whole.append(self._begun)
            self._begun = b""
        for line in whole:
            if text := line.decode(errors="replace").rstrip():
                self._on_line(text)
