"""A worker: claims answers that are owed, writes them, and does the periodic chores.

Any number of workers may run. Each renews the leases of its answers; when it dies, the leases lapse
and another worker claims the answers. When it is asked to leave, it hands them over at once.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import close_old_connections

from accounts import chores as accounts_chores
from accounts.provider_keys import recheck as key_upkeep
from accounts.provider_keys.encryption import decryption_allowed
from billing import chores as billing_chores
from billing.payments import chores as payment_chores
from chat import work_orders
from chat.charging import reconcile
from chat.charging.price_refresh import record_prices
from chat.charging.settle import settle
from chat.generation import titles
from chat.generation.ends import EndSweep, tell_end
from chat.generation.generation import Generation, Outcome
from chat.llm.catalogue import get_catalogue
from chat.llm.client import drop_idle_clients
from chat.log_sizes import LogCount
from chat.models import Reply
from chat.personal_data import erase as erasing
from chat.search import indexer, recut
from chat.sending.outbox import ANSWERS_QUEUE, deliver
from chat.sending.stops import WORKERS_GROUP
from streams.cursors import entry_ms
from streams.errors import StreamsError
from streams.lock import alone
from streams.log import close_log, get_log
from streams.queue import Job, close_queues, get_queue

logger = logging.getLogger(__name__)

STOP_POLL_S = 1.0
SWEEP_EVERY_S = 5.0
EXPORT_POLL_S = 1.0
ERASE_EVERY_S = 60.0
COUNT_EVERY_S = 2.0
CANCEL_AGAIN_S = 3.0
SEARCHABLE_EVERY_S = 1.0
BEAT_EVERY_S = 1.0
HOLDS_EVERY_S = 30.0
PRICES_EVERY_S = 600.0
# Pause before a loop goes on after an error, such as Redis being restarted.
ERROR_PAUSE_S = 0.3
# How long a leaving worker waits for what it has begun to be stored and handed over.
LEAVE_TIMEOUT_S = 8.0
# Jobs claimed in one go, so that a burst is shared among the workers.
CLAIM_BATCH = 20
CLAIM_PAUSE_S = 0.02

STATES = {
    Outcome.DONE: Reply.State.DONE,
    Outcome.STOPPED: Reply.State.STOPPED,
    Outcome.FAILED: Reply.State.FAILED,
}


class Worker:
    """Runs answers until `leave` is called. One per process and event loop.

    With `own_threads` answers ask the database in threads of their own: one until an answer is
    written, one for its end. In the thread that chores use, an answer that is taken over would wait
    for whatever a chore waits for, and for all the ends that come at the same time.
    """

    def __init__(self, *, own_threads: bool = False) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._log = get_log()
        self._queue = get_queue(ANSWERS_QUEUE)
        # Every job claimed and not yet finished: its lease is renewed from the first moment.
        self._held: dict[str, Job] = {}
        self._running: dict[str, Generation] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()
        self._people_wanted = asyncio.Event()
        self._keys_wanted = asyncio.Event()
        self._holds_due_at = self._prices_due_at = 0.0
        self._ends = EndSweep(self._log)
        self._log_count = LogCount()
        self._writing_thread = ThreadSensitiveContext() if own_threads else None
        self._ending_thread = ThreadSensitiveContext() if own_threads else None

    # Lifecycle

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Work until asked to leave; returns when everything has been handed over.

        This is what may decrypt people's provider keys.
        """
        with decryption_allowed():
            await self._run(on_ready)

    async def _run(self, on_ready: Callable[[], None]) -> None:
        await self._beat()
        on_ready()
        loops = [
            asyncio.create_task(self._forever(step, pause))
            for step, pause in (
                (self._claim_new, 0.0),
                (self._claim_stalled, settings.WORK_POLL_MS / 1000),
                (self._renew, settings.WORK_RENEW_MS / 1000),
                (self._listen_for_stops, 0.0),
                (self._poll_stops, STOP_POLL_S),
                (self._sweep, SWEEP_EVERY_S),
                (self._sweep_ends, SWEEP_EVERY_S),
                (self._count_logs, COUNT_EVERY_S),
                (self._see_to_people, 0.0),
                (accounts_chores.make_exports, EXPORT_POLL_S),
                (erasing.erase_deleted_chats, ERASE_EVERY_S),
                (self._see_to_keys, 0.0),
                (self._make_searchable, SEARCHABLE_EVERY_S),
                (payment_chores.run, SWEEP_EVERY_S),
                (self._see_to_money, SWEEP_EVERY_S),
                (self._beat, BEAT_EVERY_S),
            )
        ]
        await self._leaving.wait()
        # The renewing loop goes on: what is handed over must still be ours.
        for loop in loops[:2]:
            loop.cancel()
        for generation in self._running.values():
            generation.hand_over()
        if self._answers:
            await asyncio.wait(self._answers, timeout=LEAVE_TIMEOUT_S)
        await _end([*loops, *self._answers, *self._chores])

    def leave(self) -> None:
        self._leaving.set()

    # Loops

    async def _forever(self, step: Callable[[], Awaitable[None]], pause_s: float) -> None:
        task = asyncio.current_task()
        # A library may swallow the cancellation of what it waits for (redis 8.1 does).
        while task is not None and not task.cancelling():
            try:
                await step()
            except asyncio.CancelledError:
                raise
            except Exception:
                # A loop of the worker outlives every fault; the next turn may find it mended.
                logger.exception("worker loop %s failed; going on", step.__name__)
                await _drop_broken_connection()
                await asyncio.sleep(ERROR_PAUSE_S)
            if pause_s:
                await asyncio.sleep(pause_s)

    async def _claim_new(self) -> None:
        room = settings.WORK_CONCURRENCY - len(self._answers)
        # Those that somebody has read the beginning of come first.
        if room <= 0 or self._queue.stalled > 0:
            await asyncio.sleep(settings.WORK_POLL_MS / 1000)
            return
        jobs = await self._queue.claim(self.name, min(room, CLAIM_BATCH))
        for job in jobs:
            self._start(job)
        if not jobs:
            await self._queue.wait(timeout_ms=1_000)

    async def _claim_stalled(self) -> None:
        while True:
            room = settings.WORK_CONCURRENCY - len(self._answers)
            jobs = await self._queue.claim_stalled(self.name, min(room, CLAIM_BATCH))
            for job in jobs:
                logger.warning("taking over answer %s", job.key)
                self._start(job, lease_lapsed=True)
            if len(jobs) < CLAIM_BATCH:
                return
            await asyncio.sleep(CLAIM_PAUSE_S)

    async def _renew(self) -> None:
        held = dict(self._held)
        if not held:
            return
        kept = await self._queue.renew(self.name, held.values())
        for job_id in held.keys() - kept:
            if generation := self._running.get(job_id):
                generation.lose()

    async def _listen_for_stops(self) -> None:
        """The quick way a stop arrives. The row it is noted in is the sure one (`_poll_stops`)."""
        layer = get_channel_layer()
        assert layer is not None
        channel = await layer.new_channel()
        await layer.group_add(WORKERS_GROUP, channel)
        while True:
            message = await layer.receive(channel)
            if message.get("type") == "stop":
                self._stop_all({message["reply"]})
            elif message.get("type") == "join":
                self._people_wanted.set()
            elif message.get("type") == "keys":
                self._keys_wanted.set()

    async def _poll_stops(self) -> None:
        if ids := [generation.order.reply_id for generation in self._running.values()]:
            self._stop_all(set(await sync_to_async(work_orders.stops_requested)(ids)))

    def _stop_all(self, reply_ids: set[str]) -> None:
        for generation in self._running.values():
            if generation.order.reply_id in reply_ids:
                generation.stop()

    async def _sweep(self) -> None:
        """Carry on what a crash left between two steps: see `chat.sending.sends`."""
        held = {generation.order.reply_id for generation in self._running.values()}
        for order in await sync_to_async(work_orders.abandoned_orders)():
            if order.reply_id not in held:
                await deliver(order.reply, order.stream)

    async def _sweep_ends(self) -> None:
        await alone("ends", self._ends.run)

    async def _count_logs(self) -> None:
        if not self._log_count.is_done:
            await alone("sizes", self._log_count.run)

    async def _see_to_people(self) -> None:
        """The chores of accounts: with every sweep, and at once when a guest joins an account."""
        self._people_wanted.clear()
        await accounts_chores.run()
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_EVERY_S):
                await self._people_wanted.wait()

    async def _see_to_keys(self) -> None:
        """What is to be done about people's provider keys: with every sweep, and when told."""
        self._keys_wanted.clear()
        await key_upkeep.run()
        await drop_idle_clients()
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_EVERY_S):
                await self._keys_wanted.wait()

    async def _make_searchable(self) -> None:
        """Put what was said into the index of search: see `chat.search.indexer`."""
        await indexer.catch_up()
        await recut.step_when_due()

    async def _see_to_money(self) -> None:
        """Holds that a crash left, what models cost now, and the chores of billing."""
        if time.monotonic() >= self._holds_due_at:
            await alone("holds", reconcile.sweep_holds)
            self._holds_due_at = time.monotonic() + HOLDS_EVERY_S
        if time.monotonic() >= self._prices_due_at:
            await alone("prices", record_prices)
            self._prices_due_at = time.monotonic() + PRICES_EVERY_S
        await billing_chores.run()

    async def _beat(self) -> None:
        await self._queue.beat(self.name, b'{"answers":%d}' % len(self._running))

    # One answer

    def _start(self, job: Job, *, lease_lapsed: bool = False) -> None:
        self._held[job.id] = job
        self._keep(self._answers, self._answer(job, lease_lapsed))

    def _keep(self, tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _answer(self, job: Job, lease_lapsed: bool) -> None:
        _ask_database_in(self._writing_thread)
        try:
            await self._try_answer(job, lease_lapsed)
        except StreamsError:
            logger.warning("Redis is away; answer %s is left to its lease", job.key)
        except Exception:
            # Left to its lease: another try, by this worker or another one, starts from the log.
            logger.exception("answer %s could not be finished", job.key)
            await _drop_broken_connection()
        finally:
            self._held.pop(job.id, None)
            self._running.pop(job.id, None)

    async def _try_answer(self, job: Job, lease_lapsed: bool) -> None:
        order = await sync_to_async(work_orders.load_order)(job.key)
        if order is None:
            await tell_end(self._log, job)
            await self._queue.done(job)
            return
        generation = Generation(job, order, self._log, get_catalogue(), lease_lapsed)
        self._running[job.id] = generation
        if self._leaving.is_set():
            generation.hand_over()
        outcome = await self._generate(generation)
        await self._finish(generation, outcome)

    async def _generate(self, generation: Generation) -> Outcome:
        try:
            return await generation.run()
        except Exception:
            # A fault of ours must still give the answer a durable end.
            logger.exception("generating answer %s failed", generation.order.reply_id)
            return await generation.fail_internally()

    async def _finish(self, generation: Generation, outcome: Outcome) -> None:
        order, job = generation.order, generation.job
        if outcome is Outcome.LOST:
            await _drop_broken_connection()
            return
        if outcome is Outcome.HANDED_OVER:
            await self._queue.release(job)
            return
        _ask_database_in(self._ending_thread)
        seen = generation.transcript.cursor
        await self._log.compact(order.stream, order.chat_id, order.reply_id, until=seen)
        # The job goes first: once the row says that the answer has ended, its owner may order it
        # to go on, and the queue takes no second job of the same key.
        await self._queue.done(job)
        tried, model = generation.charge.attempts, generation.charge.model
        settled = await sync_to_async(settle)(
            order, STATES[outcome], tried, model, ended_ms=entry_ms(seen)
        )
        for reply_id in settled:
            await self._queue.put(reply_id, b"")
        if outcome is Outcome.DONE:
            self._keep(self._chores, titles.improve(order, generation.transcript, get_catalogue()))


def _ask_database_in(thread: ThreadSensitiveContext | None) -> None:
    """What this task asks the database from now on, it asks in that thread."""
    if thread is not None:
        SyncToAsync.thread_sensitive_context.set(thread)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancels them, again if need be: redis 8.1 swallows a cancellation while it subscribes, and
    what waits for messages then would wait for ever."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _drop_broken_connection() -> None:
    """The worker keeps its connection to the database; one that failed would fail for ever."""
    await sync_to_async(close_old_connections)()


async def work(on_ready: Callable[[], None]) -> None:
    """Run a worker until SIGTERM or SIGINT. `on_ready` is called once it has said that it lives."""
    worker = Worker(own_threads=True)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, worker.leave)
    try:
        await worker.run(on_ready)
    finally:
        await close_queues()
        await close_log()
