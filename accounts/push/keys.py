"""The key pair with which we identify ourselves to push services (VAPID, RFC 8292)."""

import base64
import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

# The order of the curve P-256 (NIST SP 800-186). Private keys are less.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# Longer than the order, so that the remainder is spread evenly.
_DERIVED_BYTES = 48


def private_key() -> ec.EllipticCurvePrivateKey:
    """Derived from SECRET_KEY, so it is the same in all processes and nobody has to store it. If
    SECRET_KEY changes, pages subscribe again."""
    return _derived(settings.SECRET_KEY)


def public_key() -> str:
    """The key with which browsers subscribe, in base64url."""
    point = private_key().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def push_config(sid: str) -> dict[str, str] | None:
    """What a page needs to subscribe: the key, and a mark of the session, which tells the page when
    it has to subscribe again. None if Web Push is off."""
    if not settings.PUSH_CONTACT:
        return None
    mark = hashlib.sha256(f"push {sid}".encode()).hexdigest()[:16]
    return {"key": public_key(), "session": mark}


@lru_cache(maxsize=4)
def _derived(secret: str) -> ec.EllipticCurvePrivateKey:
    kdf = HKDF(SHA256(), length=_DERIVED_BYTES, salt=None, info=b"holdfast web push")
    number = int.from_bytes(kdf.derive(secret.encode()))
    return ec.derive_private_key(number % (_ORDER - 1) + 1, ec.SECP256R1())
