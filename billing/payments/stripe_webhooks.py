"""Handles the calls of Stripe's webhook. Logs each call before handling it, and its outcome after.

The log (a stream of its own, see streams/) has accepted, refused and repeated calls. It contains no
secrets and no personal data but Stripe's ids: the signature is left out, and only ids and types are
taken from the body. A refused body, which anybody may have sent, is logged as size and SHA-256.
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
from billing.payments.stripe_errors import (
    KeyRefused,
    PaymentRefused,
    PaymentsUnavailable,
    WebhookRefused,
)
from streams.entries import Event as LogEvent
from streams.log import get_log

logger = logging.getLogger(__name__)

# Keeps references to running tasks; the event loop's are weak.
_tasks: set[asyncio.Task[str]] = set()

STREAM = "stripe"
# The only "chat" of the stream.
CHAT = "webhooks"
# Stripe's events are a few kB long.
MAX_BODY_BYTES = 256 * 1024
# Stripe hangs up on slow responses, and calls again.
HANDLE_TIMEOUT_S = 8.0

# The event types we handle, all in the same way: by refreshing the top-up.
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
    """Outcome of a call; `handle` lists the names. `booked_micro_usd` is the amount that this call
    booked: negative if it took credit back, 0 if another caller had booked it before."""

    name: str
    top_up: str = ""
    booked_micro_usd: int = 0


async def log_refusal(refused: WebhookRefused, body: bytes | None, address: str) -> None:
    """Log a refused call. `body` is None if it was too large. Raises StreamsError."""
    facts = {"address": address, "code": refused.code} | _facts_of_body(body)
    await _append(str(uuid.uuid4()), "webhook.refused", facts)


async def receive(event: Event, body: bytes, address: str) -> str:
    """Log and handle a verified call. Returns the name of its outcome (see `handle`).

    Raises PaymentError and StreamsError if not everything was done, so Stripe must call again.
    """
    # Finishes, and logs the outcome, even when the caller hangs up.
    task = asyncio.create_task(_log_and_handle(event, body, address))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return await asyncio.shield(task)


async def _log_and_handle(event: Event, body: bytes, address: str) -> str:
    call = str(uuid.uuid4())
    facts = {"call": call, "address": address} | _facts_of_body(body) | _facts_of_event(event)
    await _append(call, "webhook.received", facts)
    try:
        outcome = await _handle_in_time(event)
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


async def _handle_in_time(event: Event) -> Outcome:
    """Handle an event. Raises PaymentsUnavailable after HANDLE_TIMEOUT_S; the work goes on and may
    still be booked."""
    try:
        async with asyncio.timeout(HANDLE_TIMEOUT_S):
            return await sync_to_async(handle)(event)
    except TimeoutError as error:
        raise PaymentsUnavailable from error


def handle(event: Event) -> Outcome:
    """Refresh the top-up that the event is about. Sync; idempotent. The outcome's name is one of

    unknown_type       an event type that is not in TYPES
    not_ours           the event belongs to another use of this Stripe account
    mismatch           the payment differs from the order: an operator must look into it
    a TopUp.State      the current state of the top-up
    """
    if event.type not in TYPES:
        return Outcome("unknown_type")
    top_up_id = top_up_of(event)
    if top_up_id is None:
        return Outcome("not_ours")
    top_up = top_ups.refresh(top_up_id)
    name = "mismatch" if top_up.problem else str(top_up.state)
    return Outcome(name, str(top_up.id), top_up.booked_micro_usd)


def top_up_of(event: Event) -> uuid.UUID | None:
    """The id of the top-up that an event is about; None if it is not one of ours.

    The event is only a hint: its amounts and owners are never used.
    Raises PaymentsUnavailable and KeyRefused.
    """
    if event.object_kind == "checkout.session":
        return _find(session_id=event.object_id)
    if event.payment_intent and (known := _find(payment_intent_id=event.payment_intent)):
        return known
    top_up = event.top_up
    if not top_up and event.payment_intent:
        # The event of a refund or dispute came before that of the payment.
        try:
            top_up = stripe_api.top_up_of_payment(event.payment_intent)
        except KeyRefused:
            raise
        except PaymentRefused:
            return None
    try:
        return _find(id=uuid.UUID(top_up))
    except ValueError:
        return None


def _find(**fields: Any) -> uuid.UUID | None:
    return TopUp.objects.filter(**fields).values_list("id", flat=True).first()


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
