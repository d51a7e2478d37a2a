"""Redis as `up` sees it: the embedded one to start, or the given one to check."""

from pathlib import Path
from urllib.parse import unquote

from django.conf import settings

from config.supervise.child import Service
from config.supervise.machine_memory import redis_max_bytes
from streams.errors import EmbeddedRedisError
from streams.server.checks import redis_messages
from streams.server.embedded import redis_command

# It has only to answer its clients and to sync what they wrote.
STOP_S = 30.0


class RedisPlanError(Exception):
    """One line: what is wrong with the Redis and what to do."""


def redis_service() -> Service:
    socket = unquote(settings.REDIS_URL.removeprefix("unix://"))
    try:
        max_bytes = redis_max_bytes(settings.REDIS_MAX_MEMORY_MB)
        command = redis_command(settings.DATA_DIR, Path(socket), max_bytes)
    except EmbeddedRedisError as error:
        raise RedisPlanError(str(error)) from error
    return Service(
        name="redis",
        argv=[*command, "--loglevel", "warning"],
        ready=["redis", socket],
        stage=0,
        stop_within_s=STOP_S,
        # The kernel's setting is `doctor`'s to mention; the rest says that it stops when told to.
        hushed=["Memory overcommit", "signal-handler", "ready to exit"],
    )


def check_given_redis() -> list[str]:
    """Raises for a Redis that may not be used; returns warnings about one that was allowed."""
    messages = redis_messages()
    for message in messages:
        if message.is_serious():
            raise RedisPlanError(f"{message.msg} {message.hint} ({message.id})")
    return [f"Warning: {message.msg} ({message.id})" for message in messages]
