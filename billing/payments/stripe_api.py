"""The door to Stripe: the only module that imports its library. Sync; every call may take seconds.

What goes out are plain frozen records, so that the rest knows nothing of Stripe's objects. Raises
PaymentsAway and PaymentRefused (billing/payments/stripe_errors.py), never the library's errors.

The library takes 30 MB in each process and half a second of its start, so it is imported when it is
first needed: never, where there are no payments.
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

from billing.payments.stripe_errors import KeyRefused, PaymentRefused, PaymentsAway, WebhookRefused

if TYPE_CHECKING:
    import stripe

logger = logging.getLogger(__name__)

# What we were written against. Stripe keeps old versions working; raise it with the tests.
API_VERSION = "2026-10-28.endive"
# Somebody may be waiting for it. Tried again also while the same is under way: a double click.
TIMEOUT_S = 8.0
NETWORK_RETRIES = 2
# How old a webhook may be: against calls that were recorded and are sent again.
WEBHOOK_TOLERANCE_S = 300
# A session may be paid for so long; Stripe allows 30 minutes to 24 hours.
SESSION_LIFE_S = 2 * 3_600
EVENTS_PAGE = 100

# What Stripe keeps of a note, at most.
NOTE_MAX_CHARS = 500
# Refunds in these states move no money.
GONE = frozenset({"failed", "canceled"})


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund that stands or is under way. Who of staff made it, and why, if it was made here."""

    id: str
    cents: int
    staff_id: uuid.UUID | None
    reason: str


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout Session, with what has become of its payment. Amounts in cents.

    status           open, complete, expired
    payment_status   unpaid, paid, no_payment_required
    payment_failed   the payment was tried and will not come (bank payments fail days later)
    top_up           what its metadata and its reference name, when both name the same
    refunds          of the charge, those that stand, oldest first
    disputed_cents   of the charge, what disputes have taken from us for now or for good
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
    """A webhook's event. It is a hint what to look at: amounts are asked of Stripe, not of it."""

    id: str
    type: str
    livemode: bool
    created: int
    object_id: str
    object_kind: str
    # A top-up (by metadata or reference) and a payment intent, where the object names them.
    top_up: str
    payment_intent: str


def enabled() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def is_live() -> bool:
    """Whether the key moves real money."""
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
    """A page where this top-up can be paid. `lines`: (name, cents). Again: the same session."""
    reference = str(top_up_id)
    metadata = {"top_up": reference}
    params: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": reference,
        "metadata": metadata,
        # Copied to the charge, so that refunds and disputes lead back here too.
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
        # Else Stripe shows other currencies, converted for a fee: not what we said it would be.
        "adaptive_pricing": {"enabled": False},
        "submit_type": "pay",
        "expires_at": int(expires_at.timestamp()),
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    with _translated():
        made = _client().v1.checkout.sessions.create(
            cast(Any, params), {"idempotency_key": f"holdfast-top-up-{reference}"}
        )
    return _session(made.to_dict(), disputed_cents=0)


def get_session(session_id: str) -> Session:
    """The session as it is now, with its charge, refunds and disputes."""
    with _translated():
        found = _client().v1.checkout.sessions.retrieve(
            session_id, {"expand": ["payment_intent.latest_charge"]}
        )
        raw = found.to_dict()
        charge = _charge_of(raw)
        disputed = _disputed_cents(str(charge["id"])) if charge.get("disputed") else 0
        refunds = _refunds(str(charge["id"])) if charge.get("amount_refunded") else ()
    return _session(raw, disputed_cents=disputed, refunds=refunds)


def expire_session(session_id: str) -> None:
    """Close a session that nobody is to pay any more. PaymentRefused when it is not open."""
    with _translated():
        _client().v1.checkout.sessions.expire(session_id)


def create_refund(
    payment_intent: str, cents: int, *, act_id: uuid.UUID, note: dict[str, str]
) -> None:
    """Give so many cents of a payment back. The same act again changes nothing."""
    params: dict[str, Any] = {
        "payment_intent": payment_intent,
        "amount": cents,
        "reason": "requested_by_customer",
        "metadata": note,
    }
    with _translated():
        _client().v1.refunds.create(
            cast(Any, params), {"idempotency_key": f"holdfast-refund-{act_id}"}
        )


def top_up_of_payment(payment_intent: str) -> str:
    """The top-up a payment intent was made for; "" when it is none of ours."""
    with _translated():
        found = _client().v1.payment_intents.retrieve(payment_intent).to_dict()
    return str((found.get("metadata") or {}).get("top_up") or "")


def events_since(when: datetime, types: list[str]) -> Iterator[Event]:
    """Events of these types, newest first. Stripe keeps them for 30 days."""
    params: dict[str, Any] = {
        "types": types,
        "created": {"gte": int(when.timestamp())},
        "limit": EVENTS_PAGE,
    }
    with _translated():
        for found in _client().v1.events.list(cast(Any, params)).auto_paging_iter():
            yield _event(found.to_dict())


def verified_event(body: bytes, signature: str) -> Event:
    """The event of a webhook. Raises WebhookRefused unless Stripe signed it lately.

    While secrets are rotated any of them will do.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise WebhookRefused("bad_body", "The body is not UTF-8.") from error
    if not signature:
        raise WebhookRefused("no_signature", "The header Stripe-Signature is missing.")
    # The library takes no other characters.
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
def _translated() -> Iterator[None]:
    import stripe

    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        logger.warning("Stripe is away: %s", type(error).__name__)
        raise PaymentsAway from error
    except stripe.StripeError as error:
        # The library's text may quote what was sent; its names for it do not.
        status = error.http_status or 0
        logger.warning(
            "Stripe said %s %s %s (%s)", status, type(error).__name__, error.code, error.request_id
        )
        if status >= 500 or status == 409:
            raise PaymentsAway from error
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
    return sum(_withdrawn_cents(one.to_dict()) for one in listed.auto_paging_iter())


def _withdrawn_cents(dispute: Mapping[str, Any]) -> int:
    """What a dispute keeps from us now. Its status does not tell (one that was lost goes on as
    `appeal_…`, a `prevented` one may or may not have cost anything): the money that it moved does,
    in the currency of the account at Stripe, so only whether it is gone is read from it. It may
    come back at another rate of exchange: gone is what lacks half of what went at once."""
    moves = [int(one["amount"]) for one in dispute["balance_transactions"]]
    is_gone = -sum(moves) * 2 > max(map(abs, moves), default=0)
    return int(dispute["amount"]) if is_gone else 0


def _refunds(charge: str) -> tuple[Refund, ...]:
    listed = _client().v1.refunds.list({"charge": charge, "limit": 100})
    stand = [one.to_dict() for one in listed.auto_paging_iter() if one.status not in GONE]
    return tuple(_refund(raw) for raw in reversed(stand))


def _refund(raw: Mapping[str, Any]) -> Refund:
    note = raw.get("metadata") or {}
    try:
        staff_id = uuid.UUID(str(note.get("staff") or ""))
    except ValueError:
        staff_id = None
    reason = str(note.get("reason") or "")[:NOTE_MAX_CHARS]
    return Refund(_name(raw["id"]), int(raw["amount"]), staff_id, reason)


def _event(raw: Mapping[str, Any]) -> Event:
    if raw["object"] != "event":
        raise ValueError("not an event")
    obj = raw["data"]["object"]
    kind = str(obj.get("object") or "")
    metadata = obj.get("metadata") or {}
    intent = obj.get("payment_intent")
    return Event(
        id=_name(raw["id"]),
        type=_name(raw["type"]),
        livemode=bool(raw["livemode"]),
        created=int(raw["created"]),
        object_id=_name(obj.get("id") or ""),
        object_kind=kind[:60],
        top_up=_name(metadata.get("top_up") or ""),
        payment_intent=_name(intent) if isinstance(intent, str) else "",
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > 255:
        raise ValueError("not a name")
    return value


def expiry() -> datetime:
    """When a session made now ends."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + SESSION_LIFE_S, UTC)
