"""Limits on what costs something: how often one address or one person may do it.

A limit is a setting that says all about itself: LIMIT_SENDS_PER_MINUTE_GUEST is how many sends a
guest has in any minute; 0 is no limit. The windows slide and are exact (lua/sliding_window.lua).
Each is one key in Redis, at most as long as its limit, that is gone when its window has passed.

While Redis is away, or too full to count, what costs money or room is refused: LimitUnknown.
Signing in and reading go on unlimited (OPEN): a fault of ours must not lock people out.
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

# What may be done while it cannot be counted.
OPEN = {
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
    """Count one against the limit of that name. Raises LimitReached, and counts nothing then, or
    LimitUnknown, which is one too. Sync.

    `who` is the group of an address or the id of a person; only its digest is kept.
    """
    if wait_s := _count(limit, who, SCRIPT):
        raise LimitReached(wait_s)


def _count(limit: str, who: str, script: str, *args: int) -> int:
    """Seconds to wait; 0 when it was counted, or need not be. Raises LimitUnknown."""
    allowed: int = getattr(settings, limit)
    if not allowed:
        return 0
    count = _client(settings.REDIS_URL).register_script(script)
    try:
        wait_ms = count(keys=[_key(limit, who)], args=[allowed, window_ms(limit), *args])
    except redis.RedisError as error:
        if limit not in OPEN:
            logger.warning("Redis does not count: what %s limits is refused", limit, exc_info=True)
            raise LimitUnknown from error
        logger.warning("Redis does not count: %s is not applied", limit, exc_info=True)
        return 0
    return math.ceil(int(wait_ms) / 1000)


def forget(whos: Iterable[str]) -> None:
    """Drop what was counted for these; what could not be dropped goes with its window. Sync."""
    limits = [name for name in dir(settings) if re.match(r"LIMIT_\w+_PER_", name)]
    for who in filter(None, whos):
        for limit in limits:
            if not _forget(limit, who):
                return


def _forget(limit: str, who: str) -> bool:
    """Whether Redis was there."""
    try:
        _client(settings.REDIS_URL).unlink(_key(limit, who))
    except redis.RedisError:
        logger.warning("Redis is away: counts are left to their windows", exc_info=True)
        return False
    return True


def _key(limit: str, who: str) -> str:
    digest = hashlib.blake2b(who.encode(), digest_size=12).hexdigest()
    return f"{settings.STREAMS_PREFIX}:{{limit:{limit.removeprefix('LIMIT_').lower()}:{digest}}}"


def take_export(person: User) -> None:
    """An archive of everything that is somebody's. Sync."""
    take("LIMIT_EXPORTS_PER_DAY_USER", person.id.hex)


def take_send(person: User | None, group: str) -> None:
    """One message, another answer or a continue: each costs a model call. Sync.

    None is a visitor who becomes a guest by it.
    """
    take("LIMIT_SENDS_PER_MINUTE_ADDRESS", group)
    if person is None:
        return
    kind = "GUEST" if person.is_guest else "ACCOUNT"
    take(f"LIMIT_SENDS_PER_MINUTE_{kind}", person.id.hex)
    take(f"LIMIT_SENDS_PER_DAY_{kind}", person.id.hex)


def take_guest(group: str) -> None:
    """A new guest from this address, who may have credit for nothing. Sync."""
    take("LIMIT_GUESTS_PER_HOUR_ADDRESS", group)
    take("LIMIT_GUESTS_PER_DAY_ADDRESS", group)


def take_guest_bytes(group: str, size: int) -> None:
    """So many bytes that guests of this address are about to store. Raises AddressFull. Sync."""
    if wait_s := _count("LIMIT_GUEST_BYTES_PER_DAY_ADDRESS", group, BYTES_SCRIPT, size):
        raise AddressFull(wait_s)


def take_sign_in(name: str, group: str) -> None:
    """A try to sign in to the account of this name. Sync."""
    take("LIMIT_SIGN_INS_PER_MINUTE_ADDRESS", group)
    if name:
        take("LIMIT_SIGN_INS_PER_HOUR_NAME", name.strip().lower())


def take_socket(person: User, group: str) -> None:
    """A new WebSocket. Sync."""
    take("LIMIT_SOCKETS_PER_MINUTE_ADDRESS", group)
    take("LIMIT_SOCKETS_PER_MINUTE_USER", person.id.hex)


def take_poll(person: User) -> None:
    """One request of a page that gets by HTTP what a WebSocket would bring it. Sync."""
    take("LIMIT_POLLS_PER_MINUTE_USER", person.id.hex)


def take_change(person: User) -> None:
    """A change that is stored and told to all devices, and costs little. Sync."""
    take("LIMIT_CHANGES_PER_MINUTE_USER", person.id.hex)


def take_code_guess(who: str) -> None:
    """A code that was typed in, of somebody who signs in. Sync."""
    take("LIMIT_CODE_GUESSES_PER_DAY_ACCOUNT", who)


def forget_code_guesses(who: str) -> None:
    """It was right. Sync."""
    _forget("LIMIT_CODE_GUESSES_PER_DAY_ACCOUNT", who)


def take_notice_of_locked_codes(person: User) -> bool:
    """Whether the mail about them may be sent. Sync."""
    try:
        take("LIMIT_LOCKED_CODES_TOLD_PER_DAY_ACCOUNT", person.id.hex)
    except LimitReached:
        return False
    return True


def take_refused_webhook(group: str) -> None:
    """A call that is not Stripe's, of which a record is kept. Sync."""
    take("LIMIT_REFUSED_WEBHOOKS_PER_MINUTE_ADDRESS", group)
    take("LIMIT_REFUSED_WEBHOOKS_PER_HOUR_SITE", "site")


def take_upload(person: User) -> None:
    """A file that is sent to be kept. Sync."""
    take("LIMIT_UPLOADS_PER_HOUR_USER", person.id.hex)


@functools.cache
def window_ms(limit: str) -> int:
    found = re.search(r"_PER_(MINUTE|HOUR|DAY)", limit)
    assert found is not None, f"{limit} does not say its window"
    return WINDOWS_MS[found.group(1)]


@functools.cache
def _client(url: str) -> redis.Redis:
    """Connects when first used; shared by the threads of this process."""
    # Tried once more, for a connection that was closed while it was idle.
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
        client_name="holdfast-limits",
    )
