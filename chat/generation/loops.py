"""Loops that outlive every error, and tasks that end when they are cancelled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from asgiref.sync import sync_to_async
from django.db import close_old_connections

logger = logging.getLogger(__name__)

# Seconds before a loop continues after an error, such as Redis being restarted.
ERROR_PAUSE_S = 0.3
CANCEL_AGAIN_S = 3.0


async def repeat_forever(step: Callable[[], Awaitable[None]], pause_s: float) -> None:
    """Run `step` again and again, with `pause_s` seconds between two runs, until cancelled."""
    while not is_cancelled():
        await run_safely(step.__name__, step)
        if pause_s:
            await asyncio.sleep(pause_s)


async def run_safely(name: str, step: Callable[[], Awaitable[None]]) -> bool:
    """Run `step`; False if it raised, which is logged under `name`."""
    try:
        await step()
    except Exception:
        # A worker's loop outlives every error; the cause may be gone by the next run.
        logger.exception("worker loop %s failed; going on", name)
        await drop_broken_connection()
        await asyncio.sleep(ERROR_PAUSE_S)
        return False
    return True


def is_cancelled() -> bool:
    """Whether this task has been cancelled. Libraries may swallow the exception: redis 8.1 does."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def cancel_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel the tasks until all have ended.

    redis 8.1 swallows a cancellation while it subscribes; one cancellation would then leave a task
    waiting for messages for ever.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def drop_broken_connection() -> None:
    """Workers keep their connection to the database; a broken one would fail for ever."""
    await sync_to_async(close_old_connections)()
