"""Runs the jobs that a worker has claimed, each in a task of its own."""

import asyncio
import logging
from collections.abc import Collection, Coroutine

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.conf import settings

from chat import work_orders
from chat.charging.settle import settle
from chat.files.spoken import rows as spoken_rows
from chat.generation import titles
from chat.generation.end_notices import notify_of_end
from chat.generation.ends import append_missing_end
from chat.generation.generation import Generation, Outcome
from chat.generation.histories import Histories
from chat.generation.loops import drop_broken_connection
from chat.llm.catalogue import get_catalogue
from chat.models import Reply
from streams.cursors import entry_ms
from streams.errors import StreamsError
from streams.log import Log
from streams.queue import Job, Queue

logger = logging.getLogger(__name__)

STATES = {
    Outcome.DONE: Reply.State.DONE,
    Outcome.STOPPED: Reply.State.STOPPED,
    Outcome.FAILED: Reply.State.FAILED,
}


class JobRunner:
    """The jobs of one worker: loads each job's reply, generates it, and settles its end.

    With `own_threads` jobs use the database in two threads of their own: one until a reply is
    written, one for its end. In the thread of the chores, a reply that is taken over would wait for
    whatever a chore waits for, and for all the ends that come at the same time.
    """

    def __init__(self, log: Log, queue: Queue, *, own_threads: bool) -> None:
        # All jobs that are claimed and not finished. Their leases are renewed from the claim on.
        self.held: dict[str, Job] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.title_tasks: set[asyncio.Task[None]] = set()
        self.notice_tasks: set[asyncio.Task[None]] = set()
        self._log = log
        self._queue = queue
        self._histories = Histories(settings.WORK_KEPT_CHAT_BYTES)
        self._generations: dict[str, Generation] = {}
        self._is_leaving = False
        self._writing_thread = ThreadSensitiveContext() if own_threads else None
        self._ending_thread = ThreadSensitiveContext() if own_threads else None

    def start(self, job: Job, *, lease_lapsed: bool = False) -> asyncio.Task[None]:
        """`lease_lapsed`: the job was taken from a worker that no longer renews its lease."""
        self.held[job.id] = job
        return _start_task(self.tasks, self._run(job, lease_lapsed))

    def reply_ids(self) -> list[str]:
        """The replies that are being generated."""
        return [generation.order.reply_id for generation in self._generations.values()]

    def stop(self, reply_ids: Collection[str]) -> None:
        """Stop generating these replies, for their owners."""
        for generation in self._generations.values():
            if generation.order.reply_id in reply_ids:
                generation.stop()

    def lose(self, job_id: str) -> None:
        """The lease of this job is lost."""
        if generation := self._generations.get(job_id):
            generation.lose()

    def hand_over_all(self) -> None:
        """Leave all jobs to other workers, including those that are only being loaded."""
        self._is_leaving = True
        for generation in self._generations.values():
            generation.hand_over()

    async def finish(self, generation: Generation, outcome: Outcome) -> None:
        """Store the outcome of a generation: compact the log, end the job, settle the reply."""
        order, job = generation.order, generation.job
        if outcome is Outcome.LOST:
            await drop_broken_connection()
            return
        if outcome is Outcome.HANDED_OVER:
            await self._queue.release(job)
            return
        _use_database_thread(self._ending_thread)
        cursor = generation.cursor
        await self._log.compact(order.stream, order.chat_id, order.reply_id, until=cursor)
        # The job ends before the row: once the row says that the reply has ended, its owner may ask
        # to continue it, and the queue takes no second job of the same key.
        await self._queue.done(job)
        attempts, model = generation.charge.attempts, generation.charge.model
        startable = await sync_to_async(settle)(
            order,
            STATES[outcome],
            attempts,
            model,
            ended_ms=entry_ms(cursor),
            error_code=generation.error_code,
        )
        if generation.is_spoken:
            await sync_to_async(spoken_rows.after_end)(order.reply)
        for reply_id in startable:
            await self._queue.put(reply_id, b"")
        if outcome is not Outcome.STOPPED:
            _start_task(self.notice_tasks, notify_of_end(order, entry_ms(cursor)))
        if outcome is Outcome.DONE:
            improving = titles.improve(order, generation.texts(), get_catalogue())
            _start_task(self.title_tasks, improving)

    async def _run(self, job: Job, lease_lapsed: bool) -> None:
        _use_database_thread(self._writing_thread)
        try:
            await self._generate_and_finish(job, lease_lapsed)
        except StreamsError:
            logger.warning("Redis is unavailable; leaving answer %s to its lease", job.key)
        except Exception:
            # When the lease expires, this worker or another one continues from the log.
            logger.exception("could not finish answer %s", job.key)
            await drop_broken_connection()
        finally:
            self.held.pop(job.id, None)
            self._generations.pop(job.id, None)

    async def _generate_and_finish(self, job: Job, lease_lapsed: bool) -> None:
        order = await sync_to_async(work_orders.load_order)(job.key)
        if order is None:
            await append_missing_end(self._log, job)
            await self._queue.done(job)
            return
        generation = Generation(
            job, order, self._log, self._histories, get_catalogue(), lease_lapsed
        )
        self._generations[job.id] = generation
        if self._is_leaving:
            generation.hand_over()
        outcome = await _generate(generation)
        await self.finish(generation, outcome)


async def _generate(generation: Generation) -> Outcome:
    try:
        return await generation.run()
    except Exception:
        # After an error of our own, too, the reply gets a durable end.
        logger.exception("generating answer %s failed", generation.order.reply_id)
        return await generation.fail_internally()


def _start_task(
    tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]
) -> asyncio.Task[None]:
    """Start a task; `tasks` holds it until it ends."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


def _use_database_thread(thread: ThreadSensitiveContext | None) -> None:
    """From here on, this task uses the database in that thread."""
    if thread is not None:
        SyncToAsync.thread_sensitive_context.set(thread)
