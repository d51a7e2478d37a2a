"""Requests borrow threads: each has one to itself, and later ones reuse it."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async

from config.web.database_threads import DatabaseThreads

get_thread = sync_to_async(threading.get_ident)


async def request(threads, until=None):
    """The threads of the synchronous code of one request."""
    with threads.borrow():
        first = await get_thread()
        if until is not None:
            await until.wait()
        return first, await get_thread(), await asyncio.create_task(get_thread())


async def test_a_request_has_one_thread_which_later_ones_reuse():
    threads = DatabaseThreads()
    used = {thread for _ in range(5) for thread in await request(threads)}
    assert len(used) == 1
    assert threading.get_ident() not in used


async def test_requests_at_the_same_time_have_threads_of_their_own():
    threads, until = DatabaseThreads(), asyncio.Event()
    requests = [asyncio.create_task(request(threads, until)) for _ in range(10)]
    await asyncio.sleep(0.05)
    until.set()
    used = await asyncio.gather(*requests)
    assert all(len(set(one)) == 1 for one in used)
    assert len({one[0] for one in used}) == 10


async def test_no_more_than_so_many_idle_threads_are_kept():
    threads, until = DatabaseThreads(max_idle=2), asyncio.Event()
    requests = [asyncio.create_task(request(threads, until)) for _ in range(10)]
    await asyncio.sleep(0.05)
    until.set()
    used = {thread for one in await asyncio.gather(*requests) for thread in one}
    assert len(used) == 10
    del requests
    async with asyncio.timeout(20):
        while len(used & {thread.ident for thread in threading.enumerate()}) > 2:
            await asyncio.sleep(0.02)


async def test_the_thread_of_a_cancelled_request_is_lent_when_its_code_has_ended():
    threads, release = DatabaseThreads(), threading.Event()

    async def stuck():
        with threads.borrow():
            await sync_to_async(release.wait)(20)

    task = asyncio.create_task(stuck())
    await asyncio.sleep(0.05)
    task.cancel()
    # The code cannot be cancelled; another request must not wait for it.
    async with asyncio.timeout(10):
        await request(threads)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
