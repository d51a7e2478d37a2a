"""Bills against the log: for the audit, and for holds that a crash has left behind."""

import asyncio
import logging
import uuid
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing import holds
from billing.audit import Findings, used_of
from billing.models import Hold, Usage
from billing.prices.versions import Used
from chat import events as ev
from chat.charging.attempts import Attempt, AttemptFold
from chat.charging.settle import charge
from chat.folding import fold_answer
from chat.models import Chat, Reply
from streams.log import get_log

logger = logging.getLogger(__name__)

# How long a hold lies untouched before it is looked at; an answer that runs is never ended.
STUCK_AFTER_S = 60
# No background call takes so long.
TITLE_GONE_AFTER_S = 5 * 60
# How far ahead the clock of another machine may be.
AHEAD_S = 60
# An audit says so only of a hold that the sweep should long have found.
OVERDUE_AFTER_S = 15 * 60
BATCH = 200


async def sweep_holds() -> int:
    """Settle and close the holds whose answer has ended, or is gone. Safe to repeat."""
    swept = 0
    for hold in await sync_to_async(_stuck)(STUCK_AFTER_S):
        try:
            await _sweep(hold)
            swept += 1
        except Exception:
            # One that cannot be settled must not keep the others open; the audit names it.
            logger.exception("hold %s could not be settled yet", hold.key)
    return swept


async def _sweep(hold: Hold) -> None:
    reply = await sync_to_async(_reply_of)(hold)
    if reply is None:
        await sync_to_async(holds.release)(hold.key)
        return
    stream, chat_id = reply.chat.owner.stream, str(reply.chat_id)
    told = await fold_answer(get_log(), stream, chat_id, str(reply.id))
    await sync_to_async(_settle)(reply, told.attempts)


async def check(findings: Findings) -> None:
    """Every answer that has ended was billed for what the log holds, and for nothing else."""
    overdue = await sync_to_async(_stuck)(OVERDUE_AFTER_S)
    findings.add("open holds", len(overdue), [f"hold {hold.key}: left open" for hold in overdue])
    last: uuid.UUID | None = None
    while chats := await sync_to_async(_chats_after)(last):
        for chat_id in chats:
            count, differences = await _check_chat(chat_id)
            if differences:
                # It may have changed its owner, or been erased, in between: looked at once more.
                count, differences = await _check_chat(chat_id)
            findings.add("answers", count, differences)
        last = chats[-1]


async def _check_chat(chat_id: uuid.UUID) -> tuple[int, list[str]]:
    """How many of its answers have ended, and what is wrong with their bills."""
    # In this order: what a row says has ended is in the log and has been charged.
    stream, replies = await sync_to_async(_ended)(chat_id)
    if not replies:
        return 0, []
    told = {str(reply.id): AttemptFold(str(reply.id)) for reply, _ in replies}
    async for entries in get_log().slices(stream, str(chat_id)):
        for entry in entries:
            event = ev.parse(entry.data) if entry.type != ev.MessageCreated.type else None
            if answer := told.get(getattr(event, "message", "")):
                answer.feed(event)
    # In a thread: a long chat takes seconds, in which this worker must go on renewing its leases.
    return len(replies), await asyncio.to_thread(_compare_all, replies, told)


def _compare_all(
    replies: list[tuple[Reply, dict[int, Usage]]], told: dict[str, AttemptFold]
) -> list[str]:
    differences: list[str] = []
    for reply, usage in replies:
        attempts = told.pop(str(reply.id)).attempts()
        tried = [attempt for attempt in attempts if attempt.number <= reply.attempts]
        differences += _compare(reply, tried, usage)
    return differences


def _compare(reply: Reply, tried: list[Attempt], usage: dict[int, Usage]) -> list[str]:
    if all(attempt.bill is None for attempt in tried) and not usage:
        return []  # From before there were bills.
    differences = []
    for attempt in tried:
        used, row = attempt.used, usage.pop(attempt.number, None)
        name = f"answer {reply.id}, attempt {attempt.number}"
        if used is not None and row is None:
            differences.append(f"{name}: in the log, but not charged or counted")
        elif used is None and row is not None:
            differences.append(f"{name}: {row.charged_micro_usd} charged, nothing in the log")
        elif used is not None and row is not None:
            if row.price_id is None:
                same = _tokens(used_of(row)) == _tokens(used)
            else:
                same = used_of(row) == used
            if not same:
                differences.append(f"{name}: the log says {used}, the books {used_of(row)}")
    differences += [
        f"answer {reply.id}, attempt {number}: {row.charged_micro_usd} charged, not in the log"
        for number, row in usage.items()
        if tried or row.charged_micro_usd  # A log that is lost: what was free is not missed.
    ]
    return differences


def _tokens(used: Used) -> tuple[int, ...]:
    return (
        used.prompt_tokens,
        used.completion_tokens,
        used.cached_tokens,
        used.reasoning_tokens,
        used.cache_write_tokens,
    )


def _stuck(after_s: int) -> list[Hold]:
    """Open holds, untouched for so long, of answers that ended as long ago or are gone."""
    now = timezone.now()
    before = now - timedelta(seconds=after_s)
    title_before = now - timedelta(seconds=max(after_s, TITLE_GONE_AFTER_S))
    # What is of the future is old: the clock was set back since. (A minute: of another machine.)
    ahead = now + timedelta(seconds=AHEAD_S)
    old = Q(updated_at__lt=before) | Q(updated_at__gt=ahead)
    idle = Hold.objects.filter(old, state=Hold.State.OPEN)
    found = list(idle.order_by("updated_at"))
    asked = [hold.reply_id for hold in found if hold.reply_id is not None]
    # A hold is placed in the transaction that makes its reply: one that is not there is gone.
    goes_on = Q(finished_at=None) | Q(finished_at__range=(before, ahead))
    running = set(Reply.objects.filter(goes_on, id__in=asked).values_list("id", flat=True))
    return [
        hold
        for hold in found
        if (hold.reply_id and hold.reply_id not in running)
        or (hold.reply_id is None and not title_before <= hold.updated_at <= ahead)
    ]


def _reply_of(hold: Hold) -> Reply | None:
    if hold.reply_id is None:
        return None
    return Reply.objects.select_related("chat__owner").filter(id=hold.reply_id).first()


def _settle(reply: Reply, tried: list[Attempt]) -> None:
    with transaction.atomic():
        chats = Chat.objects.select_for_update().filter(owner_id=reply.chat.owner_id)
        if not chats.filter(id=reply.chat_id).exists():
            return  # Brought to an account, or erased, since its log was read.
        if not Reply.objects.filter(id=reply.id, finished_at=None).exists():
            charge(reply, tried, None, last=True)


def _chats_after(last: uuid.UUID | None) -> list[uuid.UUID]:
    chats = Chat.objects.order_by("id")
    found = chats.filter(id__gt=last) if last else chats
    return list(found.values_list("id", flat=True)[:BATCH])


def _ended(chat_id: uuid.UUID) -> tuple[str, list[tuple[Reply, dict[int, Usage]]]]:
    """The stream that a chat is in, and its answers that have ended, with their usage."""
    chat = Chat.objects.select_related("owner").filter(id=chat_id).first()
    if chat is None:
        return "", []
    replies = list(chat.replies.filter(state__in=Reply.FINAL).only("attempts"))
    usage: dict[uuid.UUID | None, dict[int, Usage]] = {}
    for row in Usage.objects.filter(chat_id=chat_id, purpose=Usage.Purpose.ANSWER):
        usage.setdefault(row.reply_id, {})[row.attempt] = row
    return chat.owner.stream, [(reply, usage.get(reply.id, {})) for reply in replies]
