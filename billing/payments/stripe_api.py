"""Client of Stripe's API: the only module that imports its library. Sync; a call may take seconds.

Returns plain frozen dataclasses, so no other module depends on Stripe's objects. Raises
PaymentsUnavailable and PaymentRefused (billing/payments/stripe_errors.py), never the library's own
errors.

Importing the library takes 30 MB of memory and half a second in each process, so it is imported on
first use, and never on a site without payments.
"""

import functools
import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings

from billing.payments.stripe_errors import (
    KeyRefused,
    PaymentRefused,
    PaymentsUnavailable,
    WebhookRefused,
)

if TYPE_CHECKING:
    import stripe

logger = logging.getLogger(__name__)

# The API version this code was written against. Stripe keeps old versions working.
API_VERSION = "2026-10-28.endive"
# A person may be waiting. Stripe answers 409 while the same request is running (a double click),
# which the library retries too.
TIMEOUT_S = 8.0
NETWORK_RETRIES = 2
# Oldest accepted webhook signature, against replayed calls.
WEBHOOK_TOLERANCE_S = 300
# How long a session can be paid; Stripe allows 30 minutes to 24 hours.
SESSION_LIFE_S = 2 * 3_600
EVENTS_PAGE = 100

# Stripe's limit for a metadata value.
MAX_REASON_CHARS = 500
# Refunds in these states move no money.
VOID_REFUND_STATES = frozenset({"failed", "canceled"})


@dataclass(frozen=True, slots=True)
class Refund:
    """A complete or pending refund. `staff_id` and `reason` are set if staff made it here."""

    id: str
    cents: int
    staff_id: uuid.UUID | None
    reason: str


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout Session with the state of its payment. Amounts are cents.

    status           open, complete, expired
    payment_status   unpaid, paid, no_payment_required
    payment_failed   the payment was tried and has failed (bank payments fail days later)
    top_up           the id in its metadata and its reference, if both are the same, else ""
    refunds          valid refunds of the charge, oldest first
    disputed_cents   cents that disputes of the charge have withdrawn, for now or for good
    """

    id: str
    url: str
    status: str
    payment_status: str
    payment_failed: bool
    mode: str
    currency: str
    amount_total: int
    livemode: bool
    top_up: str
    payment_intent: str
    charge: str
    receipt_url: str
    disputed_cents: int
    refunds: tuple[Refund, ...] = ()

    @property
    def refunded_cents(self) -> int:
        return sum(refund.cents for refund in self.refunds)


@dataclass(frozen=True, slots=True)
class Event:
    """An event of Stripe. It only names what to refresh; amounts are then read from the API."""

    id: str
    type: str
    livemode: bool
    created: int
    object_id: str
    object_kind: str
    # The ids of the top-up and the payment intent, "" where the object has none.
    top_up: str
    payment_intent: str


def enabled() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def is_live() -> bool:
    """Whether the key is a live key, which moves real money."""
    return "_live_" in settings.STRIPE_SECRET_KEY


def create_session(
    *,
    top_up_id: uuid.UUID,
    email: str,
    lines: list[tuple[str, int]],
    success_url: str,
    cancel_url: str,
    expires_at: datetime,
) -> Session:
    """Create the Checkout Session of a top-up. Idempotent. `lines`: (name, cents)."""
    reference = str(top_up_id)
    metadata = {"top_up": reference}
    params: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": reference,
        "metadata": metadata,
        # Stripe copies it to the charge, so that refunds and disputes name the top-up too.
        "payment_intent_data": {"metadata": metadata, "description": f"Top-up {reference}"},
        "customer_email": email,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "usd",
                    "unit_amount": cents,
                    "product_data": {"name": name},
                },
            }
            for name, cents in lines
        ],
        # Otherwise Stripe offers other currencies for a fee, and the price is not what we quoted.
        "adaptive_pricing": {"enabled": False},
        "submit_type": "pay",
        "expires_at": int(expires_at.timestamp()),
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    with _translate_errors():
        made = _client().v1.checkout.sessions.create(
            cast(Any, params), {"idempotency_key": f"holdfast-top-up-{reference}"}
        )
    return _session(made.to_dict(), disputed_cents=0)


def get_session(session_id: str) -> Session:
    """The session's current state, with its charge, refunds and disputes."""
    with _translate_errors():
        session = _client().v1.checkout.sessions.retrieve(
            session_id, {"expand": ["payment_intent.latest_charge"]}
        )
        raw = session.to_dict()
        charge = _charge_of(raw)
        disputed = _disputed_cents(str(charge["id"])) if charge.get("disputed") else 0
        refunds = _refunds(str(charge["id"])) if charge.get("amount_refunded") else ()
    return _session(raw, disputed_cents=disputed, refunds=refunds)


def expire_session(session_id: str) -> None:
    """Close a session so that it cannot be paid. Raises PaymentRefused if it is not open."""
    with _translate_errors():
        _client().v1.checkout.sessions.expire(session_id)


def create_refund(
    payment_intent: str, cents: int, *, action_id: uuid.UUID, metadata: dict[str, str]
) -> None:
    """Refund `cents` of a payment. Idempotent while Stripe keeps the key made of `action_id`."""
    params: dict[str, Any] = {
        "payment_intent": payment_intent,
        "amount": cents,
        "reason": "requested_by_customer",
        "metadata": metadata,
    }
    with _translate_errors():
        _client().v1.refunds.create(
            cast(Any, params), {"idempotency_key": f"holdfast-refund-{action_id}"}
        )


def top_up_of_payment(payment_intent: str) -> str:
    """The id of the top-up that a payment intent pays for; "" if it is not one of ours."""
    with _translate_errors():
        intent = _client().v1.payment_intents.retrieve(payment_intent).to_dict()
    return str((intent.get("metadata") or {}).get("top_up") or "")


def events_since(when: datetime, types: list[str]) -> Iterator[Event]:
    """Events of these types, newest first. Stripe keeps them for 30 days."""
    params: dict[str, Any] = {
        "types": types,
        "created": {"gte": int(when.timestamp())},
        "limit": EVENTS_PAGE,
    }
    with _translate_errors():
        for event in _client().v1.events.list(cast(Any, params)).auto_paging_iter():
            yield _event(event.to_dict())


def verified_event(body: bytes, signature: str) -> Event:
    """The event in a webhook's body. Raises WebhookRefused unless Stripe signed it recently.

    Any of the configured secrets is accepted, so that they can be rotated.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise WebhookRefused("bad_body", "The body is not UTF-8.") from error
    if not signature:
        raise WebhookRefused("no_signature", "The header Stripe-Signature is missing.")
    # The library fails on other characters.
    if not signature.isascii() or not any(
        _is_signed(text, signature, secret, None) for secret in _secrets()
    ):
        raise WebhookRefused("bad_signature", "The signature is not Stripe's.")
    if not any(_is_signed(text, signature, secret, WEBHOOK_TOLERANCE_S) for secret in _secrets()):
        raise WebhookRefused("stale", "The call was signed too long ago.")
    try:
        event = _event(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WebhookRefused("bad_body", "The body is not an event.") from error
    if event.livemode != is_live():
        raise WebhookRefused("wrong_mode", "Live and test mode do not go together.")
    return event


# Private


def _secrets() -> list[str]:
    return list(settings.STRIPE_WEBHOOK_SECRETS)


def _is_signed(text: str, signature: str, secret: str, tolerance_s: int | None) -> bool:
    import stripe

    try:
        return bool(stripe.WebhookSignature.verify_header(text, signature, secret, tolerance_s))
    except stripe.SignatureVerificationError:
        return False


def _client() -> "stripe.StripeClient":
    return _client_of(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@functools.lru_cache(maxsize=4)
def _client_of(key: str, api_base: str) -> "stripe.StripeClient":
    import stripe

    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": api_base},
        max_network_retries=NETWORK_RETRIES,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
    )


@contextmanager
def _translate_errors() -> Iterator[None]:
    import stripe

    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        logger.warning("Stripe is unavailable: %s", type(error).__name__)
        raise PaymentsUnavailable from error
    except stripe.StripeError as error:
        # The library's message may quote the request; the names below do not.
        status = error.http_status or 0
        logger.warning(
            "Stripe answered %s %s %s (%s)",
            status,
            type(error).__name__,
            error.code,
            error.request_id,
        )
        if status >= 500 or status == 409:
            raise PaymentsUnavailable from error
        raise (KeyRefused if status in (401, 403) else PaymentRefused) from error


def _session(
    raw: Mapping[str, Any], *, disputed_cents: int, refunds: tuple[Refund, ...] = ()
) -> Session:
    charge = _charge_of(raw)
    intent = raw.get("payment_intent")
    intent_state = intent.get("status") if isinstance(intent, Mapping) else ""
    intent_id = intent.get("id") if isinstance(intent, Mapping) else intent
    reference = raw.get("client_reference_id") or ""
    named = (raw.get("metadata") or {}).get("top_up") or ""
    return Session(
        id=str(raw["id"]),
        url=str(raw.get("url") or ""),
        status=str(raw.get("status") or ""),
        payment_status=str(raw.get("payment_status") or ""),
        payment_failed=intent_state in ("requires_payment_method", "canceled"),
        mode=str(raw.get("mode") or ""),
        currency=str(raw.get("currency") or ""),
        amount_total=int(raw.get("amount_total") or 0),
        livemode=bool(raw.get("livemode")),
        top_up=str(named) if named == reference else "",
        payment_intent=str(intent_id or ""),
        charge=str(charge.get("id") or ""),
        receipt_url=str(charge.get("receipt_url") or ""),
        disputed_cents=disputed_cents,
        refunds=refunds,
    )


def _charge_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    intent = raw.get("payment_intent")
    charge = intent.get("latest_charge") if isinstance(intent, Mapping) else None
    return charge if isinstance(charge, Mapping) else {}


def _disputed_cents(charge: str) -> int:
    listed = _client().v1.disputes.list({"charge": charge, "limit": 100})
    return sum(_withdrawn_cents(dispute.to_dict()) for dispute in listed.auto_paging_iter())


def _withdrawn_cents(dispute: Mapping[str, Any]) -> int:
    """The cents that a dispute currently withholds from us.

    The status of a dispute does not show this: a lost dispute may continue as `appeal_…`, and a
    `prevented` one may or may not have cost anything. Its balance transactions do. They are in the
    account's currency and may be reversed at another exchange rate, so they only decide whether
    the money is gone: it is if more than half of the largest transaction is missing.
    """
    moves = [int(transaction["amount"]) for transaction in dispute["balance_transactions"]]
    is_gone = -sum(moves) * 2 > max(map(abs, moves), default=0)
    return int(dispute["amount"]) if is_gone else 0


def _refunds(charge: str) -> tuple[Refund, ...]:
    listed = _client().v1.refunds.list({"charge": charge, "limit": 100})
    valid = [
        refund.to_dict()
        for refund in listed.auto_paging_iter()
        if refund.status not in VOID_REFUND_STATES
    ]
    return tuple(_refund(raw) for raw in reversed(valid))


def _refund(raw: Mapping[str, Any]) -> Refund:
    metadata = raw.get("metadata") or {}
    try:
        staff_id = uuid.UUID(str(metadata.get("staff") or ""))
    except ValueError:
        staff_id = None
    reason = str(metadata.get("reason") or "")[:MAX_REASON_CHARS]
    return Refund(_to_id(raw["id"]), int(raw["amount"]), staff_id, reason)


def _event(raw: Mapping[str, Any]) -> Event:
    if raw["object"] != "event":
        raise ValueError("not an event")
    obj = raw["data"]["object"]
    kind = str(obj.get("object") or "")
    metadata = obj.get("metadata") or {}
    intent = obj.get("payment_intent")
    return Event(
        id=_to_id(raw["id"]),
        type=_to_id(raw["type"]),
        livemode=bool(raw["livemode"]),
        created=int(raw["created"]),
        object_id=_to_id(obj.get("id") or ""),
        object_kind=kind[:60],
        top_up=_to_id(metadata.get("top_up") or ""),
        payment_intent=_to_id(intent) if isinstance(intent, str) else "",
    )


def _to_id(value: object) -> str:
    if not isinstance(value, str) or len(value) > 255:
        raise ValueError("not an id")
    return value


def expiry() -> datetime:
    """The time when a session created now expires."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + SESSION_LIFE_S, UTC)
