"""Threads in which requests use the database, kept from one request to the next.

Django gives each request a thread of its own, in which its synchronous code runs, and ends it with
the request. On SQLite the thread's connection goes with it, so each request would open the database
and read its schema again. Here a request borrows a thread that another one has finished with.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

# Idle threads that are kept; each has a connection with a page cache of up to 2 MB.
MAX_IDLE = 16


class DatabaseThreads:
    """Used from one event loop only."""

    def __init__(self, max_idle: int = MAX_IDLE) -> None:
        self._max_idle = max_idle
        self._idle: list[ThreadSensitiveContext] = []

    @contextmanager
    def borrow(self) -> Iterator[None]:
        """Within this context, and in the tasks that it starts, synchronous code runs in one
        thread, which no other request uses."""
        context = self._idle.pop() if self._idle else _new_context()
        token = SyncToAsync.thread_sensitive_context.set(context)
        try:
            yield
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)
            # The code of a request that was cancelled may still run: such a thread is not reused.
            # It ends when nothing refers to its context any more.
            if _executor_of(context).is_idle and len(self._idle) < self._max_idle:
                self._idle.append(context)


class _OneThread(ThreadPoolExecutor):
    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="request")
        self._last: Future[Any] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if (error := sys.exception()) is not None:
            fn = partial(_with_same_traceback, error, error.__traceback__, fn)
        self._last = super().submit(fn, *args, **kwargs)
        return self._last

    @property
    def is_idle(self) -> bool:
        return self._last is None or self._last.done()


def _with_same_traceback(
    error: BaseException, traceback: TracebackType | None, fn: Callable[..., Any], *args: Any
) -> Any:
    """Call code for a task that handles an exception. asgiref raises it again in the thread, with
    a traceback that refers to the exception; only the garbage collector would free both, and the
    request with them."""
    try:
        return fn(*args)
    finally:
        error.__traceback__ = traceback


def _new_context() -> ThreadSensitiveContext:
    context = ThreadSensitiveContext()
    SyncToAsync.context_to_thread_executor[context] = _OneThread()
    return context


def _executor_of(context: ThreadSensitiveContext) -> _OneThread:
    executor = SyncToAsync.context_to_thread_executor[context]
    assert isinstance(executor, _OneThread)
    return executor
