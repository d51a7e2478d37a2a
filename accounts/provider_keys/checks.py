"""System checks about people's provider keys.

accounts.E001  none of the given encryption keys decrypts some stored provider keys
accounts.W001  the encryption key is only on this machine, but the database is not

They are deployment checks because they query the database. `up`, `doctor` and the start of a
worker call `key_messages` directly.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError

from accounts.provider_keys.encryption import known_versions
from accounts.provider_keys.store import missing_versions

GENERATED = 0


def check_keys(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    return key_messages()


def key_messages() -> list[CheckMessage]:
    return [*_check_versions(), *_check_generated_key()]


def _check_versions() -> list[CheckMessage]:
    try:
        missing = missing_versions()
    except DatabaseError:  # Unavailable or not migrated yet, which other checks report.
        return []
    if not missing:
        return []
    versions = ", ".join(f"{version} ({number} keys)" for version, number in missing.items())
    hint = (
        "Add these versions to HOLDFAST_KEY_ENCRYPTION_KEYS, after the first one; version 0 is "
        "the file key-encryption-key of the data folder that they were created with."
    )
    message = f"Encryption keys of stored provider keys are missing: versions {versions}."
    return [Error(message, hint=hint, id="accounts.E001")]


def _check_generated_key() -> list[CheckMessage]:
    if not settings.DATABASE_URL or known_versions() != {GENERATED}:
        return []
    hint = (
        "Set HOLDFAST_KEY_ENCRYPTION_KEYS: another machine on this database, or this one with "
        "another data folder, could not read the provider keys of people."
    )
    message = "Provider keys are encrypted with a key that exists only in this data folder."
    return [Warning(message, hint=hint, id="accounts.W001")]
