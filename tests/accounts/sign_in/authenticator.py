"""Codes as a real authenticator app computes them, and the pages that ask for them."""

import base64
import hashlib
import hmac
import struct
import time


def totp(secret, at=None):
    """A code by RFC 6238 with the parameters that apps use: SHA-1, 30 seconds, six digits."""
    count = struct.pack(">Q", int((at or time.time()) // 30))
    padded = secret + "=" * (-len(secret) % 8)
    digest = hmac.new(base64.b32decode(padded, casefold=True), count, hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


ACTIVATE = "/account/2fa/totp/activate/"


AUTHENTICATE = "/account/2fa/authenticate/"


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06}"
