"""A push service and a browser's part of Web Push, which speak the real protocol: RFC 8030 over
HTTP, RFC 8291 for the content, RFC 8292 for the sender. The cryptography is written from the RFCs
and shares no code with the sender."""

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# A browser without a window has neither notifications nor a push service. What a page did with
# the subscription is noted on its root element.
SUBSCRIPTIONS = """
Object.defineProperty(Notification, "permission", { get: () => "granted" });
let subscription = null;
PushManager.prototype.getSubscription = async () => subscription;
PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    const own = %s;
    document.documentElement.dataset.pushKey = applicationServerKey;
    subscription = { ...own, options: {}, toJSON: () => own };
    subscription.unsubscribe = async () => {
        subscription = null;
        document.documentElement.dataset.unsubscribed = "";
    };
    return subscription;
};
"""
SALT, RECORD_SIZE, KEY_LENGTH = 16, 4, 1


@dataclass
class Delivery:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PushService:
    url: str
    deliveries: list[Delivery] = field(default_factory=list)
    status: int = 201

    def to(self, browser: "Browser") -> list[Delivery]:
        return [each for each in self.deliveries if each.path == browser.path]


class Browser:
    """A browser with a subscription at a push service."""

    def __init__(self, service: PushService) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._secret = os.urandom(16)
        self.path = f"/send/{os.urandom(120).hex()}"
        self.subscription = {
            "endpoint": service.url + self.path,
            "expirationTime": None,
            "keys": {"p256dh": _text(_point(self._key.public_key())), "auth": _text(self._secret)},
        }

    @property
    def script(self) -> str:
        """Lets a page subscribe this browser."""
        return SUBSCRIPTIONS % json.dumps(self.subscription)

    def read(self, delivery: Delivery) -> Any:
        """The content of a message for this browser. Raises InvalidTag for any other."""
        body = delivery.body
        salt = body[:SALT]
        start = SALT + RECORD_SIZE + KEY_LENGTH
        sender = body[start : start + body[start - 1]]
        shared = self._key.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        )
        info = b"WebPush: info\0" + _point(self._key.public_key()) + sender
        secret = _derived(shared, self._secret, info, 32)
        key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, body[start + len(sender) :], None)
        return json.loads(plain.rstrip(b"\0").removesuffix(b"\2"))


def sender_of(delivery: Delivery, key: str) -> dict[str, Any]:
    """The claims of the sender, checked with the public key that browsers subscribe with."""
    scheme, _, fields = delivery.headers["authorization"].partition(" ")
    named = dict(part.strip().split("=", 1) for part in fields.split(","))
    assert scheme.lower() == "vapid" and named["k"] == key
    point = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    claims: dict[str, Any] = jwt.decode(
        named["t"], public, algorithms=["ES256"], options={"verify_aud": False}
    )
    return claims


@contextmanager
def running_push_service() -> Iterator[PushService]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.deliveries.append(Delivery(self.path, headers, body))
            self.send_response(service.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = PushService(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _derived(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length=length, salt=salt, info=info).derive(key)
