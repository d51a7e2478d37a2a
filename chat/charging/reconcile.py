"""Reconciles charges with the log: for the audit, and for holds that a crash left open."""

import asyncio
import logging
import uuid
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing import holds
from billing.audit import Findings
from billing.models import Hold, Usage
from billing.token_usage import TokenUsage
from chat import events as ev
from chat.charging.attempts import Attempt, AttemptFold
from chat.charging.settle import charge
from chat.folding import fold_answer
from chat.models import Chat, Reply
from streams.log import get_log

logger = logging.getLogger(__name__)

# A hold is checked once it has been untouched for this long. A running reply is never ended.
STUCK_AFTER_S = 60
# No background call takes this long.
TITLE_GONE_AFTER_S = 5 * 60
# How far ahead the clock of another machine may be.
AHEAD_S = 60
# The audit reports only holds that the sweep should have closed long ago.
OVERDUE_AFTER_S = 15 * 60
BATCH = 200


async def sweep_holds() -> int:
    """Charge and close the holds whose reply has ended or is gone; returns how many. Safe to
    repeat."""
    swept = 0
    for hold in await sync_to_async(_stuck_holds)(STUCK_AFTER_S):
        try:
            await _sweep(hold)
            swept += 1
        except Exception:
            # A failing hold must not keep the others open; the audit reports it.
            logger.exception("hold %s could not be charged and closed yet", hold.key)
    return swept


async def _sweep(hold: Hold) -> None:
    reply = await sync_to_async(_reply_of)(hold)
    if reply is None:
        await sync_to_async(holds.release)(hold.key)
        return
    stream, chat_id = reply.chat.owner.stream, str(reply.chat_id)
    folded = await fold_answer(get_log(), stream, chat_id, str(reply.id))
    await sync_to_async(_charge_ended)(reply, folded.attempts)


async def check(findings: Findings) -> None:
    """Check that each ended reply was charged for its usage in the log, and for nothing else."""
    overdue = await sync_to_async(_stuck_holds)(OVERDUE_AFTER_S)
    findings.add("open holds", len(overdue), [f"hold {hold.key}: left open" for hold in overdue])
    last: uuid.UUID | None = None
    while chats := await sync_to_async(_chats_after)(last):
        for chat_id in chats:
            count, differences = await _check_chat(chat_id)
            if differences:
                # The chat may have moved to an account or been erased meanwhile: check once more.
                count, differences = await _check_chat(chat_id)
            findings.add("answers", count, differences)
        last = chats[-1]


async def _check_chat(chat_id: uuid.UUID) -> tuple[int, list[str]]:
    """How many replies of the chat have ended, and the differences between log and charges."""
    # Rows before log: a reply that has ended by its row is in the log and has been charged.
    stream, replies = await sync_to_async(_ended_replies)(chat_id)
    if not replies:
        return 0, []
    folds = {str(reply.id): AttemptFold(str(reply.id)) for reply, _ in replies}
    async for entries in get_log().slices(stream, str(chat_id)):
        for entry in entries:
            event = ev.parse(entry.data) if entry.type != ev.MessageCreated.type else None
            if attempt_fold := folds.get(getattr(event, "message", "")):
                attempt_fold.feed(event)
    # In a thread: a long chat takes seconds, in which this worker must renew its leases.
    return len(replies), await asyncio.to_thread(_compare_all, replies, folds)


def _compare_all(
    replies: list[tuple[Reply, dict[int, Usage]]], folds: dict[str, AttemptFold]
) -> list[str]:
    differences: list[str] = []
    for reply, rows in replies:
        attempts = folds.pop(str(reply.id)).attempts()
        ended = [attempt for attempt in attempts if attempt.number <= reply.attempts]
        differences += _compare(reply, ended, rows)
    return differences


def _compare(reply: Reply, attempts: list[Attempt], rows: dict[int, Usage]) -> list[str]:
    """Describe the differences between the log and the books. `rows` has the booked usage by number
    of the attempt; this function removes the rows that it has compared."""
    if all(attempt.recorded is None for attempt in attempts) and not rows:
        return []  # The reply is older than charges.
    differences = []
    for attempt in attempts:
        usage, row = attempt.usage, rows.pop(attempt.number, None)
        name = f"answer {reply.id}, attempt {attempt.number}"
        if usage is not None and row is None:
            differences.append(f"{name}: in the log, but not charged or counted")
        elif usage is None and row is not None:
            differences.append(f"{name}: {row.charged_micro_usd} charged, nothing in the log")
        elif usage is not None and row is not None:
            booked = TokenUsage.from_row(row)
            is_free = row.price_id is None  # Its cost is not booked.
            if _tokens(booked) != _tokens(usage) or not (is_free or booked == usage):
                differences.append(f"{name}: the log says {usage}, the books {booked}")
    differences += [
        f"answer {reply.id}, attempt {number}: {row.charged_micro_usd} charged, not in the log"
        for number, row in rows.items()
        if attempts or row.charged_micro_usd  # If the log was lost, free calls are not missed.
    ]
    return differences


def _tokens(usage: TokenUsage) -> tuple[int | None, ...]:
    return (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
        usage.cache_write_tokens,
        usage.audio_tokens,
        usage.image_tokens,
        usage.image_input_tokens,
        usage.audio_output_tokens,
    )


def _stuck_holds(after_s: int) -> list[Hold]:
    """Open holds, untouched for `after_s` seconds, whose replies ended as long ago or are gone."""
    now = timezone.now()
    before = now - timedelta(seconds=after_s)
    title_before = now - timedelta(seconds=max(after_s, TITLE_GONE_AFTER_S))
    # A time in the future counts as old, because the clock was set back since. A time up to
    # AHEAD_S in the future may come from another machine.
    ahead = now + timedelta(seconds=AHEAD_S)
    is_old = Q(updated_at__lt=before) | Q(updated_at__gt=ahead)
    idle = list(Hold.objects.filter(is_old, state=Hold.State.OPEN).order_by("updated_at"))
    reply_ids = [hold.reply_id for hold in idle if hold.reply_id is not None]
    # A hold is placed in the transaction that creates its reply: without a row, the reply is gone.
    is_running = Q(finished_at=None) | Q(finished_at__range=(before, ahead))
    running = set(Reply.objects.filter(is_running, id__in=reply_ids).values_list("id", flat=True))
    return [
        hold
        for hold in idle
        if (hold.reply_id and hold.reply_id not in running)
        or (hold.reply_id is None and not title_before <= hold.updated_at <= ahead)
    ]


def _reply_of(hold: Hold) -> Reply | None:
    if hold.reply_id is None:
        return None
    return Reply.objects.select_related("chat__owner").filter(id=hold.reply_id).first()


def _charge_ended(reply: Reply, attempts: list[Attempt]) -> None:
    with transaction.atomic():
        chats = Chat.objects.select_for_update().filter(owner_id=reply.chat.owner_id)
        if not chats.filter(id=reply.chat_id).exists():
            return  # The chat moved to an account, or was erased, after its log was read.
        if not Reply.objects.filter(id=reply.id, finished_at=None).exists():
            charge(reply, attempts, None, last=True)


def _chats_after(last: uuid.UUID | None) -> list[uuid.UUID]:
    chats = Chat.objects.order_by("id")
    if last is not None:
        chats = chats.filter(id__gt=last)
    return list(chats.values_list("id", flat=True)[:BATCH])


def _ended_replies(chat_id: uuid.UUID) -> tuple[str, list[tuple[Reply, dict[int, Usage]]]]:
    """The stream of the chat, and its ended replies, each with its usage rows by attempt."""
    chat = Chat.objects.select_related("owner").filter(id=chat_id).first()
    if chat is None:
        return "", []
    replies = list(chat.replies.filter(state__in=Reply.FINAL).only("attempts"))
    usage: dict[uuid.UUID | None, dict[int, Usage]] = {}
    for row in Usage.objects.filter(chat_id=chat_id, purpose=Usage.Purpose.ANSWER):
        usage.setdefault(row.reply_id, {})[row.attempt] = row
    return chat.owner.stream, [(reply, usage.get(reply.id, {})) for reply in replies]
