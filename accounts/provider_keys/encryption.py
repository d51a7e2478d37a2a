"""Encryption of people's provider keys: AES-256-GCM, random nonces, versioned encryption keys.

The associated data names what a ciphertext belongs to, so a ciphertext that is moved to another
person, provider, row or address does not decrypt. Web processes only encrypt: `decrypt` fails
outside of `decryption_allowed`, which workers and `rotate_keys` use.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


class KeyEncryptionError(Exception):
    pass


class DecryptionRefusedError(KeyEncryptionError):
    """This process must not decrypt keys."""


class UnknownVersionError(KeyEncryptionError):
    """KEY_ENCRYPTION_KEYS no longer has the version that the key was encrypted with."""

    def __init__(self, version: int) -> None:
        super().__init__(f"no encryption key of version {version}")
        self.version = version


class UnreadableKeyError(KeyEncryptionError):
    """The ciphertext was changed, moved, or encrypted with another key of the same version."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    version: int
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


_allowed = 0


@contextmanager
def decryption_allowed() -> Iterator[None]:
    """Allow `decrypt` in this process, within the context. For processes that call models."""
    global _allowed
    _allowed += 1
    try:
        yield
    finally:
        _allowed -= 1


def encrypt(plain: str, belongs_to: bytes) -> Encrypted:
    """Encrypt with the first of KEY_ENCRYPTION_KEYS."""
    version, key = next(iter(_keys().items()))
    nonce = secrets.token_bytes(NONCE_BYTES)
    return Encrypted(version, nonce, AESGCM(key).encrypt(nonce, plain.encode(), belongs_to))


def decrypt(encrypted: Encrypted, belongs_to: bytes) -> str:
    """Raises KeyEncryptionError."""
    if not _allowed:
        raise DecryptionRefusedError("Only workers decrypt provider keys.")
    key = _keys().get(encrypted.version)
    if key is None:
        raise UnknownVersionError(encrypted.version)
    try:
        plain = AESGCM(key).decrypt(encrypted.nonce, encrypted.ciphertext, belongs_to)
    except (InvalidTag, ValueError) as error:
        raise UnreadableKeyError("it does not decrypt") from error
    return plain.decode()


def current_version() -> int:
    return next(iter(_keys()))


def known_versions() -> set[int]:
    return set(_keys())


def _keys() -> Mapping[int, bytes]:
    keys: Mapping[int, bytes] = settings.KEY_ENCRYPTION_KEYS
    return keys
