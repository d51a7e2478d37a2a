"""Ends of answers that their rows know and the log does not: found by a sweep, told by a worker.

A row ends after the log does, so the log has every end, unless it was put back to an earlier state
or something of it was lost. Then every screen would show an answer as running that nobody writes.
The sweep looks at the answers that ended lately; for one without an end in the log it queues a job,
so that one worker, under its fence, tells the log what the row says.
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
from streams.log import Entry, Fence, Log
from streams.queue import Job

logger = logging.getLogger(__name__)

# What a worker that has just begun looks back at.
LOOK_BACK = timedelta(minutes=15)
# Looked at again: transactions do not end in the order of the times in their rows.
OVERLAP = timedelta(seconds=5)
BATCH = 100
# In the end of a chat's index the end of its last answer is found without reading all of it.
LAST_ENTRIES = 20
LAST_BYTES = 1_000_000
BEGINNINGS = ("message.started", "message.resumed")
ENDS = ("message.completed", "message.error")


class EndSweep:
    """Goes through what has ended, from where it was."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._after: datetime | None = None
        # Those that the next look finds again, and when they ended.
        self._seen: set[tuple[uuid.UUID, datetime | None]] = set()

    async def run(self) -> None:
        """Up to the answers that have just ended."""
        now = timezone.now()
        # The earlier one: the clock may have been set back.
        after = now - LOOK_BACK if self._after is None else min(self._after, now) - OVERLAP
        found: set[tuple[uuid.UUID, datetime | None]] = set()
        while replies := await sync_to_async(_ended_after)(after):
            for reply in replies:
                end = (reply.id, reply.finished_at)
                if end not in self._seen and not await _has_end(self._log, reply):
                    logger.warning("the log does not know that answer %s has ended", reply.id)
                    await enqueue(reply.id)
                found.add(end)
                after = reply.finished_at or after
        self._after, self._seen = max(after, now), found


async def tell_end(log: Log, job: Job) -> None:
    """If the job's answer has ended by its row and not by the log, tell the log under the job's
    fence. Otherwise nothing happens."""
    reply = await sync_to_async(_ended)(job.key)
    if reply is None:
        return
    stream, chat = reply.chat.owner.stream, str(reply.chat_id)
    fence = Fence(name=str(reply.id), token=job.token)
    await log.raise_fence(stream, fence)
    message = (await fold_answer(log, stream, chat, str(reply.id))).message
    if message is None or message.status in Reply.STATE_OF_STATUS:
        return
    event = await sync_to_async(_end_of)(reply, message)
    logged = ev.log_event(chat, event, f"{reply.id}:{job.token}:end:{message.attempt}")
    [entry_id] = await log.append(stream, [logged], fence=fence)
    await log.compact(stream, chat, str(reply.id), until=entry_id)


def _ended_after(after: datetime) -> list[Reply]:
    ended = Reply.objects.filter(finished_at__gt=after).select_related("chat__owner")
    return list(ended.order_by("finished_at")[:BATCH])


def _ended(reply_id: str) -> Reply | None:
    replies = Reply.objects.select_related("chat__owner").filter(state__in=Reply.FINAL)
    return replies.filter(id=uuid.UUID(reply_id)).first()


async def _has_end(log: Log, reply: Reply) -> bool:
    stream, chat = reply.chat.owner.stream, str(reply.chat_id)
    last = await log.read_last(stream, chat, LAST_ENTRIES, LAST_BYTES)
    if (ended := _ends_in(last, reply)) is not None:
        return ended
    ended, is_known, name = None, False, str(reply.id).encode()
    async for entries in log.slices(stream, chat):
        told = _ends_in(entries, reply)
        ended = ended if told is None else told
        is_known = is_known or any(name in entry.data for entry in entries)
    # Of one that the log knows nothing of there is nothing to be shown.
    return not is_known if ended is None else ended


def _ends_in(entries: Sequence[Entry], reply: Reply) -> bool | None:
    """Whether the last that these entries say of the answer is its end; None if they say nothing:
    an answer that was gone on with has several beginnings and ends."""
    name = str(reply.id).encode()
    for entry in reversed(entries):
        if entry.type in BEGINNINGS + ENDS and name in entry.data:
            return entry.type in ENDS
    return None


def _end_of(reply: Reply, message: Message) -> ev.MessageCompleted | ev.MessageError:
    """With what was charged for its last attempt, so that log and books agree."""
    rows = Usage.objects.filter(reply_id=reply.id, attempt=message.attempt)
    row = rows.filter(purpose=Usage.Purpose.ANSWER).first()
    usage = AttemptUsage(message.attempt, TokenUsage.from_row(row) if row else None)
    account = answer_events.Account(None, None, usage.to_bill())
    if reply.state == Reply.State.FAILED:
        return answer_events.failed(message, INTERNAL_ERROR, SENTENCES[INTERNAL_ERROR], account)
    finish = Finish("stopped" if reply.state == Reply.State.STOPPED else "stop", None)
    return answer_events.completed(message, message.model or reply.model, finish, account, None)
