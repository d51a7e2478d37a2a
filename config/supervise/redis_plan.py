"""Redis in the plan of `up`: starts the embedded one, or checks the one of REDIS_URL."""

from pathlib import Path
from urllib.parse import unquote

from django.conf import settings

from config.supervise.child import Service
from config.supervise.machine_memory import redis_max_bytes
from streams.errors import EmbeddedRedisError
from streams.server.checks import redis_messages
from streams.server.embedded import redis_command

# Redis only has to finish its commands and sync its file.
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
        # `doctor` reports the kernel's setting; the other lines announce an orderly stop.
        hushed=["Memory overcommit", "signal-handler", "ready to exit"],
    )


def check_given_redis() -> list[str]:
    """Raises RedisPlanError if Redis may not be used; returns warnings if it may."""
    messages = redis_messages()
    for message in messages:
        if message.is_serious():
            raise RedisPlanError(f"{message.msg} {message.hint} ({message.id})")
    return [f"Warning: {message.msg} ({message.id})" for message in messages]
