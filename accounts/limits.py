"""Rate limits: how often one address or one person may do something.

Each limit is a setting that is named after what it counts: LIMIT_SENDS_PER_MINUTE_GUEST is how many
messages a guest may send in any minute; 0 is no limit. The windows are sliding and exact
(lua/sliding_window.lua). Each window is one Redis key with at most as many entries as its limit,
and expires with its window.

While Redis is unavailable, or too full to count, actions that cost money or storage are refused
with LimitUnknown. Signing in and reading are then not limited (UNLIMITED_WITHOUT_REDIS), so that an
outage of Redis locks nobody out.
"""

import functools
import hashlib
import logging
import math
import re
from collections.abc import Iterable
from pathlib import Path

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts.errors import AddressFull, LimitReached, LimitUnknown
from accounts.models import User

logger = logging.getLogger(__name__)

# Limits that are not applied while they cannot be counted.
UNLIMITED_WITHOUT_REDIS = {
    "LIMIT_SIGN_INS_PER_MINUTE_ADDRESS",
    "LIMIT_SIGN_INS_PER_HOUR_NAME",
    "LIMIT_SEARCHES_PER_MINUTE_USER",
    "LIMIT_SOCKETS_PER_MINUTE_ADDRESS",
    "LIMIT_SOCKETS_PER_MINUTE_USER",
    "LIMIT_POLLS_PER_MINUTE_USER",
}
WINDOWS_MS = {"MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
REDIS_TIMEOUT_S = 2.0
LUA = Path(__file__).parent / "lua"
SCRIPT = (LUA / "sliding_window.lua").read_text(encoding="utf-8")
BYTES_SCRIPT = (LUA / "sliding_bytes.lua").read_text(encoding="utf-8")


def take(limit: str, who: str) -> None:
    """Count one action against the limit of that name. Sync.

    `who` is an address group or a person's id; only its digest is stored. Raises LimitReached (the
    action is then not counted) or its subclass LimitUnknown.
    """
    if wait_s := _count(limit, who, SCRIPT):
        raise LimitReached(wait_s)


def _count(limit: str, who: str, script: str, *args: int) -> int:
    """Count an action; returns the seconds to wait, 0 if it was counted or is not limited. Raises
    LimitUnknown."""
    allowed: int = getattr(settings, limit)
    if not allowed:
        return 0
    count = _client(settings.REDIS_URL).register_script(script)
    try:
        wait_ms = count(keys=[_key(limit, who)], args=[allowed, window_ms(limit), *args])
    except redis.RedisError as error:
        if limit not in UNLIMITED_WITHOUT_REDIS:
            logger.warning("Redis cannot count: refusing what %s limits", limit, exc_info=True)
            raise LimitUnknown from error
        logger.warning("Redis cannot count: not applying %s", limit, exc_info=True)
        return 0
    return math.ceil(int(wait_ms) / 1000)


def forget(subjects: Iterable[str]) -> None:
    """Delete all counts of these subjects; without Redis they expire with their windows. Sync."""
    limits = [name for name in dir(settings) if re.match(r"LIMIT_\w+_PER_", name)]
    for who in filter(None, subjects):
        for limit in limits:
            if not _forget(limit, who):
                return


def _forget(limit: str, who: str) -> bool:
    """Delete one count. False if Redis is unavailable."""
    try:
        _client(settings.REDIS_URL).unlink(_key(limit, who))
    except redis.RedisError:
        logger.warning("Redis is unavailable: counts expire with their windows", exc_info=True)
        return False
    return True


def _key(limit: str, who: str) -> str:
    digest = hashlib.blake2b(who.encode(), digest_size=12).hexdigest()
    return f"{settings.STREAMS_PREFIX}:{{limit:{limit.removeprefix('LIMIT_').lower()}:{digest}}}"


def take_export(person: User) -> None:
    """Count an order of an export. Sync."""
    take("LIMIT_EXPORTS_PER_DAY_USER", person.id.hex)


def take_send(person: User | None, group: str) -> None:
    """Count a message, a regeneration or a continuation; each costs a model call. Sync.

    None stands for a visitor, who becomes a guest with the message.
    """
    take("LIMIT_SENDS_PER_MINUTE_ADDRESS", group)
    if person is None:
        return
    kind = "GUEST" if person.is_guest else "ACCOUNT"
    take(f"LIMIT_SENDS_PER_MINUTE_{kind}", person.id.hex)
    take(f"LIMIT_SENDS_PER_DAY_{kind}", person.id.hex)


def take_file(person: User | None, group: str) -> None:
    """Count an uploaded file; None stands for a visitor. Sync."""
    take("LIMIT_FILES_PER_HOUR_ADDRESS", group)
    if person is not None:
        take("LIMIT_FILES_PER_HOUR_USER", person.id.hex)


def take_transcription(person: User) -> None:
    """Count a sound whose speech is to be written down. Sync."""
    take("LIMIT_TRANSCRIPTIONS_PER_HOUR_USER", person.id.hex)


def take_speech(person: User) -> None:
    """Count an answer that is to be read aloud. Sync."""
    take("LIMIT_SPEECH_PER_HOUR_USER", person.id.hex)


def take_guest(group: str) -> None:
    """Count a new guest from this address, who may get free credit. Sync."""
    take("LIMIT_GUESTS_PER_HOUR_ADDRESS", group)
    take("LIMIT_GUESTS_PER_DAY_ADDRESS", group)


def take_guest_bytes(group: str, size: int) -> None:
    """Count bytes that guests at this address are about to store. Raises AddressFull. Sync."""
    if wait_s := _count("LIMIT_GUEST_BYTES_PER_DAY_ADDRESS", group, BYTES_SCRIPT, size):
        raise AddressFull(wait_s)


def take_guest_file_bytes(group: str, size: int) -> None:
    """Likewise bytes of files. Raises AddressFull. Sync."""
    if wait_s := _count("LIMIT_GUEST_FILE_BYTES_PER_DAY_ADDRESS", group, BYTES_SCRIPT, size):
        raise AddressFull(wait_s)


def take_sign_in(name: str, group: str) -> None:
    """Count an attempt to sign in to the account of this name. Sync."""
    take("LIMIT_SIGN_INS_PER_MINUTE_ADDRESS", group)
    if name:
        take("LIMIT_SIGN_INS_PER_HOUR_NAME", name.strip().lower())


def take_socket(person: User, group: str) -> None:
    """Count a new WebSocket. Sync."""
    take("LIMIT_SOCKETS_PER_MINUTE_ADDRESS", group)
    take("LIMIT_SOCKETS_PER_MINUTE_USER", person.id.hex)


def take_poll(person: User) -> None:
    """Count a request of a page that polls because it has no WebSocket. Sync."""
    take("LIMIT_POLLS_PER_MINUTE_USER", person.id.hex)


def take_change(person: User) -> None:
    """Count a cheap change that is stored and sent to all devices. Sync."""
    take("LIMIT_CHANGES_PER_MINUTE_USER", person.id.hex)


def take_code_guess(who: str) -> None:
    """Count a sign-in code that somebody typed in. Sync."""
    take("LIMIT_CODE_GUESSES_PER_DAY_ACCOUNT", who)


def forget_code_guesses(who: str) -> None:
    """Clear the count after a correct code. Sync."""
    _forget("LIMIT_CODE_GUESSES_PER_DAY_ACCOUNT", who)


def take_notice_of_locked_codes(person: User) -> bool:
    """Count the mail about locked codes; False if it must not be sent again. Sync."""
    try:
        take("LIMIT_LOCKED_CODES_TOLD_PER_DAY_ACCOUNT", person.id.hex)
    except LimitReached:
        return False
    return True


def take_refused_webhook(group: str) -> None:
    """Count a webhook call that is not Stripe's and is recorded. Sync."""
    take("LIMIT_REFUSED_WEBHOOKS_PER_MINUTE_ADDRESS", group)
    take("LIMIT_REFUSED_WEBHOOKS_PER_HOUR_SITE", "site")


def take_upload(person: User) -> None:
    """Count an uploaded file. Sync."""
    take("LIMIT_UPLOADS_PER_HOUR_USER", person.id.hex)


@functools.cache
def window_ms(limit: str) -> int:
    match = re.search(r"_PER_(MINUTE|HOUR|DAY)", limit)
    assert match is not None, f"{limit} does not name its window"
    return WINDOWS_MS[match.group(1)]


@functools.cache
def _client(url: str) -> redis.Redis:
    """Connects when first used; shared by the threads of this process."""
    # One retry, because an idle connection may have been closed.
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
        client_name="holdfast-limits",
    )
