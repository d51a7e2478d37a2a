"""The threads in which a process waits for the storage of files.

They are not those of `asyncio.to_thread`, which read what models send: a bucket that does not
respond holds up other files, and no answer without one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 16
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")


async def in_storage_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Like `asyncio.to_thread`."""
    call = partial(copy_context().run, partial(function, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_executor, call)
