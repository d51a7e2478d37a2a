"""Encrypting people's provider keys: AES-256-GCM, a fresh nonce each, versions of the master key.

What a ciphertext belongs to is its associated data, so one that is moved to another person,
provider, row or address does not decrypt. Web processes encrypt only: `decrypt` refuses unless the
process has said that it is one that may (`decryption_allowed`: workers, and `rotate_keys`).
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
    """This process has no business with keys."""


class UnknownVersionError(KeyEncryptionError):
    """Encrypted with a version that the environment does not give any more."""

    def __init__(self, version: int) -> None:
        super().__init__(f"no encryption key of version {version}")
        self.version = version


class UnreadableKeyError(KeyEncryptionError):
    """It was changed, moved, or encrypted with another key of the same version."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    version: int
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


_allowed = 0


@contextmanager
def decryption_allowed() -> Iterator[None]:
    """For the processes that call models with the keys, for as long as they run."""
    global _allowed
    _allowed += 1
    try:
        yield
    finally:
        _allowed -= 1


def encrypt(plain: str, belongs_to: bytes) -> Encrypted:
    """With the first of KEY_ENCRYPTION_KEYS."""
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
