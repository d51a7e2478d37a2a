"""Ends of replies that the database has and the log lacks: found by a sweep, appended by a worker.

A reply's row ends after its log does, so the log has every end unless it was restored to an earlier
state or lost entries. Without the end, every screen would show the reply as running, though no
worker writes it. The sweep checks the replies that ended recently and queues a job for each one
whose end is missing; the worker that claims the job appends the end under the job's fence.
"""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from asgiref.sync import sync_to_async
from django.utils import timezone

from billing.models import Usage
from billing.token_usage import TokenUsage
from chat import events as ev
from chat.charging.attempts import AttemptUsage
from chat.folding import fold_answer
from chat.generation import events as answer_events
from chat.generation.errors import INTERNAL_ERROR, SENTENCES
from chat.llm.client import Finish
from chat.models import Reply
from chat.sending.outbox import enqueue
from chat.transcript import Message
from streams.log import Entry, Fence, Log, get_log
from streams.queue import Job

logger = logging.getLogger(__name__)

# How far a new worker looks back.
LOOK_BACK = timedelta(minutes=15)
# Each sweep goes back this far: transactions do not commit in the order of the times in their rows.
OVERLAP = timedelta(seconds=5)
BATCH = 100
# The last entries of a chat usually hold the last reply's end; so the rest need not be read.
LAST_ENTRIES = 20
LAST_BYTES = 1_000_000
START_TYPES = ("message.started", "message.resumed")
END_TYPES = ("message.completed", "message.error")


class EndSweep:
    """Checks the replies that have ended since its last run."""

    def __init__(self) -> None:
        self._after: datetime | None = None
        # Id and time of the ends that were checked and that the next run may find again.
        self._checked: set[tuple[uuid.UUID, datetime | None]] = set()

    async def run(self) -> None:
        """Check all that have ended by now."""
        now = timezone.now()
        # `now` is earlier than the last run if the clock was set back.
        after = now - LOOK_BACK if self._after is None else min(self._after, now) - OVERLAP
        checked: set[tuple[uuid.UUID, datetime | None]] = set()
        while replies := await sync_to_async(_ended_after)(after):
            for reply in replies:
                end = (reply.id, reply.finished_at)
                if end not in self._checked and not await _has_end(get_log(), reply):
                    logger.warning("the log lacks the end of answer %s", reply.id)
                    await enqueue(reply.id)
                checked.add(end)
                after = reply.finished_at or after
        self._after, self._checked = max(after, now), checked


async def append_missing_end(log: Log, job: Job) -> None:
    """If the job's reply has ended in the database and not in the log, append its end to the log,
    under the job's fence. Raises FencedError, LogUnavailableError.
    """
    reply = await sync_to_async(_ended_reply)(job.key)
    if reply is None:
        return
    stream, chat_id = reply.chat.owner.stream, str(reply.chat_id)
    fence = Fence(name=str(reply.id), token=job.token)
    await log.raise_fence(stream, fence)
    message = (await fold_answer(log, stream, chat_id, str(reply.id))).message
    if message is None or message.status in Reply.STATE_OF_STATUS:
        return
    event = await sync_to_async(_end_event)(reply, message)
    logged = ev.log_event(chat_id, event, f"{reply.id}:{job.token}:end:{message.attempt}")
    [entry_id] = await log.append(stream, [logged], fence=fence)
    await log.compact(stream, chat_id, str(reply.id), until=entry_id)


def _ended_after(after: datetime) -> list[Reply]:
    ended = Reply.objects.filter(finished_at__gt=after).select_related("chat__owner")
    return list(ended.order_by("finished_at")[:BATCH])


def _ended_reply(reply_id: str) -> Reply | None:
    replies = Reply.objects.select_related("chat__owner").filter(state__in=Reply.FINAL)
    return replies.filter(id=uuid.UUID(reply_id)).first()


async def _has_end(log: Log, reply: Reply) -> bool:
    """Whether the log has the end of the reply. True as well if the log has nothing of the reply,
    because then no screen shows it as running."""
    stream, chat_id = reply.chat.owner.stream, str(reply.chat_id)
    last_entries = await log.read_last(stream, chat_id, LAST_ENTRIES, LAST_BYTES)
    if (is_ended := _is_ended(last_entries, reply)) is not None:
        return is_ended
    is_known, reply_id = False, str(reply.id).encode()
    async for entries in log.slices(stream, chat_id):
        is_ended_here = _is_ended(entries, reply)
        is_ended = is_ended if is_ended_here is None else is_ended_here
        is_known = is_known or any(reply_id in entry.data for entry in entries)
    return not is_known if is_ended is None else is_ended


def _is_ended(entries: Sequence[Entry], reply: Reply) -> bool | None:
    """Whether the reply's last start or end in these entries is an end; None if there is neither.

    A reply that was continued has several starts and ends.
    """
    reply_id = str(reply.id).encode()
    for entry in reversed(entries):
        if entry.type in START_TYPES + END_TYPES and reply_id in entry.data:
            return entry.type in END_TYPES
    return None


def _end_event(reply: Reply, message: Message) -> ev.MessageCompleted | ev.MessageError:
    """The end of the reply, with the usage booked for its last attempt, so that log and ledger
    agree."""
    rows = Usage.objects.filter(reply_id=reply.id, attempt=message.attempt)
    row = rows.filter(purpose=Usage.Purpose.ANSWER).first()
    usage = AttemptUsage(message.attempt, TokenUsage.from_row(row) if row else None)
    account = answer_events.Account(None, None, usage.to_bill())
    if reply.state == Reply.State.FAILED:
        return answer_events.failed(message, INTERNAL_ERROR, SENTENCES[INTERNAL_ERROR], account)
    finish = Finish("stopped" if reply.state == Reply.State.STOPPED else "stop", None)
    return answer_events.completed(message, message.model or reply.model, finish, account, None)
