"""What Stripe calls us for. Every call is written into a log of its own before anything is done
about it, and what came of it after; accepted or refused, the first time or the tenth.

The log (streams/) keeps no secrets and no more of people than Stripe's ids: not the signature, and
of the body only the names of things. A refused body is anybody's: its size and SHA-256 are kept.
"""

import asyncio
import hashlib
import logging
import uuid
from dataclasses import dataclass
from typing import Any

import orjson
from asgiref.sync import sync_to_async

from billing.models.top_ups import TopUp
from billing.payments import stripe_api, top_ups
from billing.payments.stripe_api import Event
from billing.payments.stripe_errors import KeyRefused, PaymentRefused, PaymentsAway, WebhookRefused
from streams.entries import Event as LogEvent
from streams.log import get_log

logger = logging.getLogger(__name__)

# Nothing else keeps a task.
_under_way: set[asyncio.Task[str]] = set()

STREAM = "stripe"
# The one "chat" of the stream: everything in it is read together.
CHAT = "webhooks"
# Stripe's events are a few kB.
MAX_BODY_BYTES = 256 * 1024
# Stripe hangs up on who is slow to answer, and calls again.
ACT_WITHIN_S = 8.0

# What we look for. All lead to the same: a look at the top-up.
TYPES = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: see `act`. `booked_micro_usd` is what this call put into the ledger,
    below zero what it took back; nothing when somebody else had seen to it before."""

    name: str
    top_up: str = ""
    booked_micro_usd: int = 0


async def note_refusal(refused: WebhookRefused, body: bytes | None, address: str) -> None:
    """`body` is None when it was too large. Raises StreamsError when the log cannot be written."""
    facts = {"address": address, "code": refused.code} | _facts_of_body(body)
    await _append(str(uuid.uuid4()), "webhook.refused", facts)


async def receive(event: Event, body: bytes, address: str) -> str:
    """Deal with a call that is Stripe's; gives the outcome (see `act`).

    Raises PaymentError and StreamsError: Stripe is to call again; not everything was done.
    """
    # Seen to its end, and noted, also when the caller has hung up.
    seen = asyncio.create_task(_see_to(event, body, address))
    _under_way.add(seen)
    seen.add_done_callback(_under_way.discard)
    return await asyncio.shield(seen)


async def _see_to(event: Event, body: bytes, address: str) -> str:
    call = str(uuid.uuid4())
    facts = {"call": call, "address": address} | _facts_of_body(body) | _facts_of_event(event)
    await _append(call, "webhook.received", facts)
    try:
        outcome = await _act_in_time(event)
    except Exception as error:
        failed = {"call": call, "code": getattr(error, "code", "internal_error")}
        await _append(f"{call}:outcome", "webhook.failed", failed)
        raise
    done = {
        "call": call,
        "outcome": outcome.name,
        "top_up": outcome.top_up,
        "booked_micro_usd": outcome.booked_micro_usd,
    }
    await _append(f"{call}:outcome", "webhook.done", done)
    return outcome.name


async def _act_in_time(event: Event) -> Outcome:
    """Raises PaymentsAway when Stripe is slow; what has begun goes on, and may still be booked."""
    try:
        async with asyncio.timeout(ACT_WITHIN_S):
            return await sync_to_async(act)(event)
    except TimeoutError as error:
        raise PaymentsAway from error


def act(event: Event) -> Outcome:
    """Look at what the event is about. Sync; may be repeated. The outcome's name is one of

    unknown_type   an event we do nothing about
    not_ours       of something else that this Stripe account is used for
    mismatch       the payment is not the one we asked for: an operator must look into it
    a state        of the top-up, as it is now
    """
    if event.type not in TYPES:
        return Outcome("unknown_type")
    top_up_id = top_up_of(event)
    if top_up_id is None:
        return Outcome("not_ours")
    top_up = top_ups.look(top_up_id)
    name = "mismatch" if top_up.problem else str(top_up.state)
    return Outcome(name, str(top_up.id), top_up.booked_micro_usd)


def top_up_of(event: Event) -> uuid.UUID | None:
    """The top-up an event is about. It must exist here; whose it is does not matter, since nothing
    that the event says is believed. Raises PaymentsAway and KeyRefused."""
    if event.object_kind == "checkout.session":
        return _known(session_id=event.object_id)
    if event.payment_intent and (found := _known(payment_intent_id=event.payment_intent)):
        return found
    named = event.top_up
    if not named and event.payment_intent:
        # Told of a refund or a dispute before we knew that it was paid.
        try:
            named = stripe_api.top_up_of_payment(event.payment_intent)
        except KeyRefused:
            raise
        except PaymentRefused:
            return None
    try:
        return _known(id=uuid.UUID(named))
    except ValueError:
        return None


def _known(**named: Any) -> uuid.UUID | None:
    return TopUp.objects.filter(**named).values_list("id", flat=True).first()


# The log


async def _append(event_id: str, kind: str, fields: dict[str, Any]) -> None:
    data = orjson.dumps({"type": kind} | fields)
    await get_log().append(STREAM, [LogEvent(id=event_id, chat=CHAT, type=kind, data=data)])


def _facts_of_body(body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {"bytes": None}
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def _facts_of_event(event: Event) -> dict[str, Any]:
    return {
        "event": event.id,
        "event_type": event.type,
        "created": event.created,
        "livemode": event.livemode,
        "object": event.object_id,
        "object_kind": event.object_kind,
        "payment_intent": event.payment_intent,
        "top_up": event.top_up,
    }
