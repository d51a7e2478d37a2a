"""A worker: claims the jobs of replies that are owed, generates the replies, and runs the chores.

Any number of workers may run. Each renews the leases of its jobs; when it dies, the leases expire
and another worker claims the jobs. On SIGTERM it hands them over at once.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings

from accounts.provider_keys.encryption import decryption_allowed
from accounts.sockets import WORKERS_GROUP
from chat import work_orders
from chat.generation.chore_runner import ChoreRunner
from chat.generation.job_runner import JobRunner
from chat.generation.loops import cancel_all, repeat_forever
from chat.sending.outbox import ANSWERS_QUEUE, deliver
from chat.tools.mcp.connections import close_all as close_tool_connections
from streams.chores import Chore
from streams.log import close_log, get_log
from streams.queue import Job, close_queues, get_queue

logger = logging.getLogger(__name__)

STOP_POLL_S = 1.0
SWEEP_EVERY_S = 5.0
BEAT_EVERY_S = 2.0
# Seconds that a leaving worker waits until its jobs are stored and handed over.
LEAVE_TIMEOUT_S = 8.0
# How long one blocking read waits for new jobs. A job ends it at once.
WAIT_MS = 5_000
# Jobs claimed at once. A burst is shared among the workers.
CLAIM_BATCH = 20
CLAIM_PAUSE_S = 0.02


class Worker:
    """Claims and runs jobs until `leave` is called. One per process and event loop.

    `own_threads`: see JobRunner.
    """

    def __init__(self, *, own_threads: bool = False) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._queue = get_queue(ANSWERS_QUEUE)
        self.jobs = JobRunner(get_log(), self._queue, own_threads=own_threads)
        sweep = Chore("abandoned", self._deliver_abandoned, SWEEP_EVERY_S)
        self._chores = ChoreRunner([sweep], is_busy=lambda: bool(self.jobs.tasks))
        self._leaving = asyncio.Event()
        # Set when this worker has claimed a job, until it has none.
        self._has_jobs = asyncio.Event()
        # Set when a job may have been claimed, by any worker, since the leases were looked at.
        self._must_look = asyncio.Event()
        self._must_look.set()

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Work until asked to leave; returns when all jobs have been handed over.

        Workers may decrypt people's provider keys; other processes may not.
        """
        with decryption_allowed():
            await self._run(on_ready)

    def leave(self) -> None:
        self._leaving.set()

    async def _run(self, on_ready: Callable[[], None]) -> None:
        await self._beat()
        on_ready()
        claim_loops = [
            asyncio.create_task(repeat_forever(step, pause_s))
            for step, pause_s in (
                (self._claim_new, 0.0),
                (self._claim_stalled, settings.WORK_POLL_MS / 1000),
            )
        ]
        other_loops = [
            asyncio.create_task(repeat_forever(step, pause_s))
            for step, pause_s in (
                (self._renew_leases, settings.WORK_RENEW_MS / 1000),
                (self._receive_messages, 0.0),
                (self._poll_stops, STOP_POLL_S),
                (self._beat, BEAT_EVERY_S),
            )
        ]
        chores = self._chores.start()
        await self._leaving.wait()
        for loop in claim_loops:
            loop.cancel()
        # Leases are still renewed, so that no other worker takes a job before it is handed over.
        self.jobs.hand_over_all()
        if self.jobs.tasks:
            await asyncio.wait(self.jobs.tasks, timeout=LEAVE_TIMEOUT_S)
        jobs = [*self.jobs.tasks, *self.jobs.title_tasks, *self.jobs.notice_tasks]
        await cancel_all([*claim_loops, *other_loops, *chores, *jobs])

    # Loops

    async def _claim_new(self) -> None:
        # Stalled jobs come first: people have read the beginning of those replies.
        if self._free_slots() <= 0 or self._queue.stalled > 0:
            await asyncio.sleep(settings.WORK_POLL_MS / 1000)
            return
        jobs = await self._queue.claim(self.name, min(self._free_slots(), CLAIM_BATCH))
        # Only now: a job that another worker has taken instead has its lease by now.
        self._must_look.set()
        for job in jobs:
            self._start(job)
        if not jobs:
            await self._queue.wait(timeout_ms=WAIT_MS)

    async def _claim_stalled(self) -> None:
        """Take over stalled jobs. While no job is claimed, wait until one may be."""
        if not self._queue.claimed:
            await self._must_look.wait()
        self._must_look.clear()
        while True:
            count = min(self._free_slots(), CLAIM_BATCH)
            jobs = await self._queue.claim_stalled(self.name, count)
            for job in jobs:
                logger.warning("taking over answer %s", job.key)
                self._start(job, lease_lapsed=True)
            if len(jobs) < CLAIM_BATCH:
                return
            await asyncio.sleep(CLAIM_PAUSE_S)

    def _start(self, job: Job, *, lease_lapsed: bool = False) -> None:
        task = self.jobs.start(job, lease_lapsed=lease_lapsed)
        task.add_done_callback(lambda _: self._chores.note_busy())
        self._has_jobs.set()
        self._chores.note_busy()

    def _free_slots(self) -> int:
        return settings.WORK_CONCURRENCY - len(self.jobs.tasks)

    async def _renew_leases(self) -> None:
        if not self.jobs.held:
            self._has_jobs.clear()
            await self._has_jobs.wait()
        held = dict(self.jobs.held)
        kept = await self._queue.renew(self.name, held.values())
        for job_id in held.keys() - kept:
            self.jobs.lose(job_id)

    async def _receive_messages(self) -> None:
        """Messages to all workers: they are fast, and may get lost.

        Stops are also in the database (`_poll_stops`), and chores also run at their intervals.
        """
        layer = get_channel_layer()
        assert layer is not None
        channel = await layer.new_channel()
        await layer.group_add(WORKERS_GROUP, channel)
        while True:
            message = await layer.receive(channel)
            if message.get("type") == "stop":
                self.jobs.stop({message["reply"]})
            else:
                self._chores.wake(message.get("type", ""))

    async def _poll_stops(self) -> None:
        await self._has_jobs.wait()
        if reply_ids := self.jobs.reply_ids():
            self.jobs.stop(await sync_to_async(work_orders.stops_requested)(reply_ids))

    async def _deliver_abandoned(self) -> None:
        """Deliver replies whose sender crashed between two steps: see `chat.sending.sends`."""
        held = set(self.jobs.reply_ids())
        for order in await sync_to_async(work_orders.abandoned_orders)():
            if order.reply_id not in held:
                await deliver(order.reply, order.stream)

    async def _beat(self) -> None:
        info = b'{"answers":%d}' % len(self.jobs.reply_ids())
        self._chores.note_leader(await self._queue.beat(self.name, info))


async def work(on_ready: Callable[[], None]) -> None:
    """Run a worker until SIGTERM or SIGINT. Calls `on_ready` after the worker's first heartbeat."""
    worker = Worker(own_threads=True)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, worker.leave)
    try:
        await worker.run(on_ready)
    finally:
        await close_tool_connections()
        await close_queues()
        await close_log()
