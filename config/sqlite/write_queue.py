"""Lets the writers of one SQLite database wait in all processes, and wakes the next at once.

The turn is a lock on a file (`flock`), which the kernel releases when its process dies. A process
that waits for it sleeps until a byte arrives in a named pipe, which whoever ends a turn writes
there. A holder that was killed writes none, so nobody sleeps longer than `CHECK_AGAIN_S`. Within a
process one thread waits for the file; the others wait for that thread.
"""

import fcntl
import os
import select
import threading
import time
from contextlib import suppress

CHECK_AGAIN_S = 0.02
# How long to sleep on file systems without named pipes.
WITHOUT_PIPE_S = 0.002
PIPE_BYTES = 4_096

_queues: dict[str, "WriteQueue"] = {}
_queues_lock = threading.Lock()


def queue_of(database: str) -> "WriteQueue":
    """This process's queue for a database file; all connections to it share one."""
    with _queues_lock:
        queue = _queues.get(database)
        if queue is None or queue.pid != os.getpid():  # A forked child needs its own lock.
            queue = _queues[database] = WriteQueue(database)
        return queue


class WriteQueue:
    """Creates `<database>-writers` and `<database>-wakeups` beside the database."""

    def __init__(self, database: str) -> None:
        self.pid = os.getpid()
        self._thread = threading.Lock()
        self._file = os.open(f"{database}-writers", os.O_RDWR | os.O_CREAT, 0o600)
        self._wakeups = _open_pipe(f"{database}-wakeups")

    def acquire(self, timeout_s: float) -> bool:
        """Wait for the turn; False if it did not come in time."""
        deadline = time.monotonic() + timeout_s
        if not self._thread.acquire(timeout=timeout_s):
            return False
        try:
            while not self._try_file():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    self._thread.release()
                    return False
                self._sleep(min(left_s, CHECK_AGAIN_S))
        except BaseException:
            self._thread.release()
            raise
        return True

    def release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        if self._wakeups is not None:
            with suppress(BlockingIOError):  # Full: then there are enough bytes to wake everybody.
                os.write(self._wakeups, b"\0")
        self._thread.release()

    def _try_file(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _sleep(self, seconds: float) -> None:
        """Sleep until somebody has ended a turn. Bytes that another process takes are no loss: it
        tries the lock next, and either gets it, and writes when it ends, or its holder does."""
        if self._wakeups is None:
            time.sleep(min(seconds, WITHOUT_PIPE_S))
            return
        poll = select.poll()
        poll.register(self._wakeups, select.POLLIN)
        if poll.poll(seconds * 1000):
            with suppress(BlockingIOError):
                os.read(self._wakeups, PIPE_BYTES)


def _open_pipe(path: str) -> int | None:
    """None on file systems without named pipes."""
    try:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Open for both, so that opening does not wait for another end.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
