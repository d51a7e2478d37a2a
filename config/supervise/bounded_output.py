"""Output that never makes a process wait for a reader: for `up`, web and workers.

A write to a pipe that nobody reads blocks for ever, and with it the code that wrote the log line: a
request, a reply, the supervisor. So everything for stdout or stderr goes into a queue of bounded
size in memory, and a thread writes it out. When the queue is full, text is dropped, and a note of
the amount follows once there is room again. At the end of the process, the rest may take up to
LAST_FLUSH_S seconds.

A non-blocking descriptor does not fit: that flag belongs to the open file, which may be the user's
terminal, shared with the shell. `logging.handlers.QueueHandler` does not fit either: tracebacks,
warnings, prints (the mails of the console backend) and Twisted's messages would still block.

This uses only the standard library, because the supervisor needs it too.
"""

import atexit
import contextlib
import io
import os
import select
import sys
import threading
import time
from collections import deque
from typing import Any

LIMIT_BYTES = 1_000_000
# A pipe takes this much at once (PIPE_BUF), so that lines of several processes do not mix.
PIECE_BYTES = 4_096
# How long the process waits at its end until the rest is written.
LAST_FLUSH_S = 2.0

_writers: list["BoundedWriter"] = []


class BoundedWriter:
    """Writes to a descriptor in a thread of its own. `write` never waits and never raises."""

    def __init__(self, descriptor: int, limit_bytes: int = LIMIT_BYTES) -> None:
        self._descriptor = descriptor
        self._limit_bytes = limit_bytes
        # Re-entrant: a destructor may print while this very thread is in `write`.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._writing = False
        self._gone = False  # There is no reader any more.
        self._at_exit = False
        self.dropped_bytes = 0
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def write(self, data: bytes) -> None:
        with self._changed:
            if self._gone:
                return
            if self._at_exit:
                self._write_if_room(data)
            elif self._waiting_bytes + len(data) > self._limit_bytes:
                self.dropped_bytes += len(data)
            else:
                self._waiting.append(data)
                self._waiting_bytes += len(data)
                self._changed.notify_all()

    def flush(self, within_s: float) -> bool:
        """Whether everything was written in time."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, within_s)

    def end(self, within_s: float = LAST_FLUSH_S) -> None:
        """Call it at the end of the process, when threads no longer run. Later text is written at
        once if there is room for it, and dropped otherwise."""
        if not self.flush(within_s):
            self._gone = True
        self._at_exit = True

    def _is_idle(self) -> bool:
        return self._gone or not (self._waiting or self._writing or self.dropped_bytes)

    def _run(self) -> None:
        while not self._gone:
            data = self._take()
            with contextlib.suppress(OSError, ValueError):
                self._write_whole(data)
                continue
            with self._changed:  # EPIPE, EBADF, EIO: there is no reader any more.
                self._gone = True
                self._waiting.clear()
                self.dropped_bytes = 0
                self._changed.notify_all()

    def _take(self) -> bytes:
        """Everything in the queue; after that, the note about dropped text."""
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            while not (self._waiting or self.dropped_bytes):
                self._changed.wait()
            self._writing = True
            if not self._waiting:
                note = b"\nholdfast: %d bytes of output were dropped: nobody read them\n"
                note %= self.dropped_bytes
                self.dropped_bytes = 0
                self._waiting_bytes += len(note)
                return note
            data = b"".join(self._waiting)
            self._waiting.clear()
            return data

    def _write_whole(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._descriptor, view[:PIECE_BYTES])
            except BlockingIOError:  # A descriptor that somebody made non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
                continue
            view = view[written:]
            with self._changed:
                self._waiting_bytes -= written

    def _write_if_room(self, data: bytes) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        with contextlib.suppress(OSError, ValueError):
            for start in range(0, len(data), PIECE_BYTES):
                if poll.poll(0) != [(self._descriptor, select.POLLOUT)]:
                    return
                os.write(self._descriptor, data[start : start + PIECE_BYTES])


class _Raw(io.BufferedIOBase):
    """The binary stream below Python's text streams."""

    def __init__(self, writer: BoundedWriter, descriptor: int) -> None:
        super().__init__()
        self._writer = writer
        self._descriptor = descriptor

    def write(self, data: Any) -> int:
        copy = bytes(data)
        self._writer.write(copy)
        return len(copy)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def install() -> None:
    """Replaces sys.stdout and sys.stderr. Call it before anything keeps a reference to them, such
    as a log handler."""
    ensure_open()
    streams = []
    for descriptor in (1, 2):
        if descriptor == 2 and os.path.sameopenfile(1, 2):  # One queue keeps the order.
            writer = _writers[-1]
        else:
            writer = BoundedWriter(descriptor)
            _writers.append(writer)
        raw: Any = _Raw(writer, descriptor)
        stream = io.TextIOWrapper(
            raw, encoding="utf-8", errors="backslashreplace", write_through=True
        )
        streams.append(stream)
    sys.stdout, sys.stderr = streams
    atexit.register(end)


def ensure_open() -> None:
    """Opens /dev/null in place of a closed stdin, stdout or stderr. Otherwise the next file that is
    opened would get its number, and text would be printed into it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # The lowest free number: this one.
            os.set_inheritable(opened, True)


def flush(within_s: float = LAST_FLUSH_S) -> None:
    """Call it before an `exec`, which ends the threads."""
    deadline = time.monotonic() + within_s
    for writer in _writers:
        writer.flush(max(0.0, deadline - time.monotonic()))


def end() -> None:
    for writer in _writers:
        writer.end()
