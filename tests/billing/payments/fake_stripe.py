"""A fake Stripe: the part of its HTTP API that Holdfast uses, a Checkout page where a browser can
pay, and signed webhooks.

It speaks the wire protocol of the `stripe` library: form-encoded nested parameters, Bearer keys,
idempotency keys, list objects with pages, expansions, errors with their types. Actions of people
and operators at Stripe are methods: `pay`, `refund`, `dispute`, `close_dispute`, `expire`, ...
"""

import copy
import itertools
import json
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

SECRET_KEY = "sk_test_holdfast"
LIVE_KEY = "sk_live_holdfast"
KEYS = {f"Bearer {key}" for key in (SECRET_KEY, LIVE_KEY)}
WEBHOOK_SECRET = "whsec_holdfast"
VERSION = "2026-10-28.endive"
MIN_TOTAL_CENTS = 50
SESSION_PARAMS = {
    "adaptive_pricing",
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "expires_at",
    "expand",
    "line_items",
    "metadata",
    "mode",
    "payment_intent_data",
    "submit_type",
    "success_url",
}
MAX_PAGE = 100

Object = dict[str, Any]


class StripeError(Exception):
    def __init__(self, status: int, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": "invalid_request_error", "message": message} | fields}


class FakeStripe:
    """State and actions; thread-safe. `port` and `url` are set by `running_fake_stripe`."""

    def __init__(self) -> None:
        self.url = ""
        self.lock = threading.RLock()
        # URL to which webhooks are sent immediately; "" sends none.
        self.webhook_url = ""
        # While cleared, API requests wait.
        self.gate = threading.Event()
        self.clear()

    def clear(self) -> None:
        with self.lock:
            self.sessions: dict[str, Object] = {}
            self.intents: dict[str, Object] = {}
            self.charges: dict[str, Object] = {}
            self.refunds: dict[str, Object] = {}
            self.disputes: dict[str, Object] = {}
            self.events: list[Object] = []
            self.requests: list[tuple[str, str, Object]] = []
            self._answers: dict[str, tuple[Object, tuple[int, Object]]] = {}
            self._number = itertools.count(1)
            # While set, the (status, body) of every answer; status 0 closes the connection.
            self.trouble: tuple[int, Object] | None = None
            # The same by path; and paths whose requests succeed, but whose answers are lost.
            self.trouble_at: dict[str, tuple[int, Object]] = {}
            self.mute_at: set[str] = set()
            self.livemode = False
            self.gate.set()

    def forget_keys(self) -> None:
        """As Stripe does after a day."""
        with self.lock:
            self._answers.clear()

    # Actions of people at Stripe

    def pay(self, session_id: str, how: str = "card") -> Object:
        """`card` pays immediately, `bank` later (`settle`)."""
        with self.lock:
            session = self.sessions[session_id]
            if session["status"] != "open":
                raise StripeError(400, "This Checkout Session is no longer active.")
            intent = self._make_intent(session)
            session |= {"status": "complete", "payment_intent": intent["id"], "url": None}
            if how == "bank":
                intent["status"] = "processing"
            else:
                self._charge(session, intent)
            return self._event("checkout.session.completed", session)

    def settle(self, session_id: str, *, succeeds: bool = True) -> Object:
        """A bank payment arrives or fails."""
        with self.lock:
            session = self.sessions[session_id]
            intent = self.intents[session["payment_intent"]]
            if not succeeds:
                intent["status"] = "requires_payment_method"
                return self._event("checkout.session.async_payment_failed", session)
            self._charge(session, intent)
            return self._event("checkout.session.async_payment_succeeded", session)

    def expire(self, session_id: str) -> Object:
        with self.lock:
            session = self.sessions[session_id]
            if session["status"] != "open":
                raise StripeError(400, "Only Checkout Sessions that are open can be expired.")
            session |= {"status": "expired", "url": None}
            return self._event("checkout.session.expired", session)

    def refund(
        self, session_id: str, cents: int | None = None, metadata: Object | None = None
    ) -> Object:
        with self.lock:
            charge = self._charge_of(session_id)
            left = charge["amount"] - charge["amount_refunded"]
            amount = left if cents is None else cents
            if not 0 < amount <= left:
                raise StripeError(400, "Refund amount is greater than unrefunded amount on charge")
            refund = self._object("re", "refund", amount=amount, status="succeeded")
            refund |= {"charge": charge["id"], "payment_intent": charge["payment_intent"]}
            refund["metadata"] = metadata or {}
            self.refunds[refund["id"]] = refund
            charge["amount_refunded"] += amount
            charge["refunded"] = charge["amount_refunded"] == charge["amount"]
            self._event("refund.created", refund)
            return self._event("charge.refunded", charge)

    def fail_refund(self, session_id: str, *, charge_follows: bool = True) -> Object:
        """The bank returns the last refund, as it does for closed accounts."""
        with self.lock:
            charge = self._charge_of(session_id)
            refund = [r for r in self.refunds.values() if r["charge"] == charge["id"]][-1]
            refund["status"] = "failed"
            if charge_follows:
                charge["amount_refunded"] -= refund["amount"]
                charge["refunded"] = False
            self._event("charge.refund.updated", refund)
            return self._event("refund.failed", refund)

    def dispute(
        self, session_id: str, cents: int | None = None, status: str = "needs_response"
    ) -> Object:
        """An inquiry (`warning_…`) takes no money."""
        with self.lock:
            charge = self._charge_of(session_id)
            charge["disputed"] = True
            amount = charge["amount"] if cents is None else cents
            dispute = self._object("du", "dispute", amount=amount, reason="fraudulent")
            dispute |= {"charge": charge["id"], "payment_intent": charge["payment_intent"]}
            dispute |= {"status": status, "currency": "usd", "metadata": {}}
            self.disputes[dispute["id"]] = dispute
            return self._moved(dispute, "created", [] if status.startswith("warning") else [-1])

    def close_dispute(self, session_id: str, *, won: bool) -> Object:
        return self.update_dispute(
            session_id, "won" if won else "lost", [-1, 1] if won else [-1], what="closed"
        )

    def update_dispute(
        self, session_id: str, status: str, moves: list[float], what: str = "updated"
    ) -> Object:
        """`moves`: directions of its balance transactions; -1 is withdrawn from us."""
        with self.lock:
            charge = self._charge_of(session_id)
            dispute = [d for d in self.disputes.values() if d["charge"] == charge["id"]][-1]
            dispute["status"] = status
            return self._moved(dispute, what, moves)

    def _moved(self, dispute: Object, what: str, moves: list[float]) -> Object:
        dispute["balance_transactions"] = [
            self._object(
                "txn",
                "balance_transaction",
                amount=round(move * dispute["amount"]),
                currency="usd",
                fee=1_500 if move < 0 else 0,
                reporting_category="dispute" if move < 0 else "dispute_reversal",
                source=dispute["id"],
                type="adjustment",
            )
            for move in moves
        ]
        return self._event(f"charge.dispute.{what}", dispute)

    # Webhooks

    def signed(
        self,
        event: Object,
        *,
        secret: str = WEBHOOK_SECRET,
        at: float | None = None,
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a webhook as Stripe sends it."""
        body = json.dumps(event, indent=2)
        timestamp = int(time.time() if at is None else at)
        signature = stripe.WebhookSignature.generate_signature_header(body, secret, timestamp)
        return body.encode(), {
            "Stripe-Signature": signature,
            "Content-Type": "application/json; charset=utf-8",
        }

    def send(self, event: Object, url: str = "", **signing: Any) -> int:
        """Send a webhook. Returns the status of the answer."""
        body, headers = self.signed(event, **signing)
        request = urllib.request.Request(url or self.webhook_url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def make_event(self, kind: str, obj: Object) -> Object:
        """An event that Stripe's list does not have, for forgeries."""
        event = self._object("evt", "event", type=kind, api_version=VERSION, pending_webhooks=1)
        return event | {"data": {"object": copy.deepcopy(obj)}, "request": {"id": None}}

    # The API

    def answer(self, method: str, path: str, params: Object, key: str) -> tuple[int, Object]:
        with self.lock:
            self.requests.append((method, path, params))
        self.gate.wait()
        with self.lock:
            if trouble := self.trouble or self.trouble_at.get(path):
                return trouble
            answer = self._answer(method, path, params, key)
            return (0, {}) if path in self.mute_at else answer

    def _answer(self, method: str, path: str, params: Object, key: str) -> tuple[int, Object]:
        if method != "POST" or not key:
            return self._route(method, path, params)
        # An idempotency key gets the same answer again, except for invalid requests.
        if known := self._answers.get(key):
            if known[0] != {"path": path} | params:
                raise StripeError(
                    400,
                    "Keys for idempotent requests can only be used with the same parameters.",
                    type="idempotency_error",
                )
            return known[1]
        found = self._route(method, path, params)
        self._answers[key] = ({"path": path} | params, copy.deepcopy(found))
        return found

    def _route(self, method: str, path: str, params: Object) -> tuple[int, Object]:
        routes = (
            ("POST", r"/v1/checkout/sessions", lambda: self._create_session(params)),
            ("GET", r"/v1/checkout/sessions", lambda: self._list(self.sessions, params, path)),
            ("GET", r"/v1/checkout/sessions/(\w+)", lambda i: self._one(self.sessions, i)),
            ("POST", r"/v1/checkout/sessions/(\w+)/expire", self._expire_session),
            ("GET", r"/v1/payment_intents/(\w+)", lambda i: self._one(self.intents, i)),
            ("GET", r"/v1/charges/(\w+)", lambda i: self._one(self.charges, i)),
            ("GET", r"/v1/disputes", lambda: self._list(self.disputes, params, path)),
            ("POST", r"/v1/refunds", lambda: self._create_refund(params)),
            ("GET", r"/v1/refunds", lambda: self._list(self.refunds, params, path)),
            ("GET", r"/v1/events", lambda: self._list_events(params, path)),
        )
        for verb, pattern, action in routes:
            if verb == method and (found := re.fullmatch(pattern, path)):
                result = copy.deepcopy(action(*found.groups()))
                for field in params.get("expand", []):
                    self._expand(result, field.split("."))
                return 200, result
        raise StripeError(404, f"Unrecognized request URL ({method}: {path}).")

    def _create_refund(self, params: Object) -> Object:
        intent = params["payment_intent"]
        paid = [s["id"] for s in self.sessions.values() if s["payment_intent"] == intent]
        if not paid:
            raise StripeError(404, f"No such payment_intent: '{intent}'")
        if self._charge_of(paid[0])["disputed"]:
            raise StripeError(400, "Charge has been charged back.", code="charge_disputed")
        self.refund(paid[0], int(params["amount"]), params.get("metadata", {}))
        return list(self.refunds.values())[-1]

    def _create_session(self, params: Object) -> Object:
        if unknown := set(params) - SESSION_PARAMS:
            raise StripeError(400, f"Received unknown parameter: {unknown.pop()}")
        for needed in ("mode", "line_items", "success_url"):
            if not params.get(needed):
                raise StripeError(400, f"Missing required param: {needed}.", param=needed)
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", params.get("customer_email", "a@b")):
            raise StripeError(400, "Invalid email address", code="email_invalid")
        total = sum(_amount(item) for item in params["line_items"])
        if total < MIN_TOTAL_CENTS:
            raise StripeError(400, "The Checkout Session's total amount must convert to 50 cents.")
        expires_at = int(params.get("expires_at", time.time() + 24 * 3_600))
        if not 1_800 - 60 <= expires_at - time.time() <= 24 * 3_600 + 60:
            raise StripeError(400, "The `expires_at` timestamp must be 30 minutes to 24 hours off.")
        session = self._object("cs_test", "checkout.session", mode=params["mode"], status="open")
        session |= {
            "amount_total": total,
            "amount_subtotal": total,
            "currency": "usd",
            "payment_status": "unpaid",
            "payment_intent": None,
            "expires_at": expires_at,
            "client_reference_id": params.get("client_reference_id"),
            "customer_email": params.get("customer_email"),
            "metadata": params.get("metadata", {}),
            "success_url": params["success_url"],
            "cancel_url": params.get("cancel_url"),
            "adaptive_pricing": {
                "enabled": params.get("adaptive_pricing", {}).get("enabled") != "false"
            },
            "_line_items": params["line_items"],
            "_intent_data": params.get("payment_intent_data", {}),
        }
        session["url"] = f"{self.url}/c/pay/{session['id']}"
        self.sessions[session["id"]] = session
        return session

    def _expire_session(self, session_id: str) -> Object:
        self._one(self.sessions, session_id)
        self.expire(session_id)
        return self.sessions[session_id]

    def _one(self, kept: dict[str, Object], object_id: str) -> Object:
        if object_id not in kept:
            raise StripeError(404, f"No such object: '{object_id}'", code="resource_missing")
        return kept[object_id]

    def _list(self, kept: dict[str, Object], params: Object, path: str) -> Object:
        found = [
            one
            for one in reversed(list(kept.values()))
            if all(
                one.get(name) == params[name]
                for name in ("payment_intent", "charge", "status")
                if name in params
            )
        ]
        return self._page(found, params, path)

    def _list_events(self, params: Object, path: str) -> Object:
        since = int(params.get("created", {}).get("gte", 0))
        kinds = params.get("types")
        found = [
            event
            for event in reversed(self.events)
            if event["created"] >= since and (not kinds or event["type"] in kinds)
        ]
        return self._page(found, params, path)

    def _page(self, found: list[Object], params: Object, path: str) -> Object:
        if after := params.get("starting_after"):
            ids = [one["id"] for one in found]
            found = found[ids.index(after) + 1 :]
        limit = int(params.get("limit", 10))
        if not 1 <= limit <= MAX_PAGE:
            raise StripeError(400, "Limit can range between 1 and 100.", param="limit")
        page = {"object": "list", "data": found[:limit], "has_more": len(found) > limit}
        return page | {"url": path}

    def _expand(self, result: Object, names: list[str]) -> None:
        name, *rest = names
        kept = {"payment_intent": self.intents, "latest_charge": self.charges}[name]
        if not result.get(name):
            return
        if isinstance(result[name], str):
            result[name] = copy.deepcopy(kept[result[name]])
        if rest:
            self._expand(result[name], rest)

    # Private

    def _object(self, prefix: str, kind: str, **fields: Any) -> Object:
        return {
            "id": f"{prefix}_{next(self._number):04d}{secrets.token_hex(8)}",
            "object": kind,
            "created": int(time.time()),
            "livemode": self.livemode,
        } | fields

    def _make_intent(self, session: Object) -> Object:
        intent = self._object("pi", "payment_intent", amount=session["amount_total"])
        intent |= {"currency": session["currency"], "latest_charge": None, "status": "succeeded"}
        intent["metadata"] = dict(session["_intent_data"].get("metadata", {}))
        self.intents[intent["id"]] = intent
        return intent

    def _charge(self, session: Object, intent: Object) -> None:
        charge = self._object("ch", "charge", amount=intent["amount"], paid=True)
        charge |= {"payment_intent": intent["id"], "amount_refunded": 0, "refunded": False}
        charge |= {"disputed": False, "metadata": dict(intent["metadata"]), "currency": "usd"}
        charge |= {"billing_details": {"name": "Alice Example", "email": "alice@example.org"}}
        charge["receipt_url"] = f"{self.url}/receipts/{charge['id']}"
        self.charges[charge["id"]] = charge
        intent |= {"latest_charge": charge["id"], "status": "succeeded"}
        session["payment_status"] = "paid"
        session["customer_details"] = {"name": "Alice Example", "email": "alice@example.org"}

    def _charge_of(self, session_id: str) -> Object:
        intent = self.intents[self.sessions[session_id]["payment_intent"]]
        return self.charges[intent["latest_charge"]]

    def _event(self, kind: str, obj: Object) -> Object:
        event = self.make_event(kind, obj)
        self.events.append(event)
        if self.webhook_url:
            threading.Thread(target=self.send, args=(event,), daemon=True).start()
        return event


def _amount(item: Object) -> int:
    price = item["price_data"]
    if price["currency"] != "usd" or not price["product_data"]["name"]:
        raise StripeError(400, "Invalid currency or product.")
    return int(price["unit_amount"]) * int(item["quantity"])


def unflattened(pairs: list[tuple[str, str]]) -> Object:
    """`a[b][0][c]=x` -> {"a": {"b": [{"c": "x"}]}}."""
    found: Object = {}
    for name, value in pairs:
        keys = [key for key in re.split(r"[\[\]]+", name) if key]
        if name.endswith("[]"):
            found.setdefault(keys[0], []).append(value)
            continue
        place = found
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return _with_lists(found)


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _with_lists(one) for key, one in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Checkout</title></head>
<body><h1>Pay {total}</h1><ul>{lines}</ul><p>{email}</p>
<form method="post"><button name="how" value="card">Pay</button>
<button name="how" value="bank">Pay by bank</button></form>
<a href="{cancel_url}">Back</a></body></html>"""


class Handler(BaseHTTPRequestHandler):
    fake: FakeStripe
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: each request would wait 40 ms for the first to be acknowledged.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if parts.path.startswith("/c/pay/"):
            self._checkout(method, parts.path.rsplit("/", 1)[1], dict(parse_qsl(body)))
            return
        params = unflattened(parse_qsl(parts.query) + parse_qsl(body))
        try:
            if self.headers.get("Authorization") not in KEYS:
                raise StripeError(401, "Invalid API Key provided.")
            if self.headers.get("Stripe-Version") != VERSION:
                raise StripeError(400, f"Invalid version {self.headers.get('Stripe-Version')}")
            key = self.headers.get("Idempotency-Key", "") if method == "POST" else ""
            status, answer = self.fake.answer(method, parts.path, params, key)
        except StripeError as error:
            status, answer = error.status, error.body
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        self._send(status, "application/json", json.dumps(answer).encode())

    def _checkout(self, method: str, session_id: str, fields: dict[str, str]) -> None:
        session = self.fake.sessions.get(session_id)
        if session is None:
            self._send(404, "text/html", b"There is no such page.")
        elif method == "POST":
            self.fake.pay(session_id, fields["how"])
            self.send_response(303)
            self.send_header("Location", session["success_url"])
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            lines = "".join(
                f"<li>{item['price_data']['product_data']['name']}: "
                f"${int(item['price_data']['unit_amount']) / 100:.2f}</li>"
                for item in session["_line_items"]
            )
            page = PAGE.format(
                total=f"${session['amount_total'] / 100:.2f}",
                lines=lines,
                email=session["customer_email"],
                cancel_url=session["cancel_url"],
            )
            self._send(200, "text/html", page.encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Request-Id", f"req_{secrets.token_hex(6)}")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running_fake_stripe() -> Iterator[FakeStripe]:
    fake = FakeStripe()
    handler = type("BoundHandler", (Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
