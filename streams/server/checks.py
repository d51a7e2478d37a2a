"""System checks that refuse a Redis that could lose acknowledged writes.

It is a deployment check, so that most commands do not connect to Redis. `up`, `doctor`, and the
start of web and worker call redis_messages() or ensure_durable_redis().

streams.E001  Redis cannot be reached
streams.E002  appendonly is off, or appendfsync is not always
streams.E003  a full Redis would evict entries
streams.E004  Redis is older than 6.2
streams.E005  Redis does not report how it syncs
streams.E006  Redis is a replica
streams.E007  Redis fails to write its file
streams.W001  E002, E003 or E005, permitted by HOLDFAST_ALLOW_LOSSY_REDIS
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.management.base import SystemCheckError

from .inspect import Problem, RedisReport, inspect_redis

TAG = "streams"
_IDS = {
    "unreachable": "streams.E001",
    "forgetful": "streams.E002",
    "evicting": "streams.E003",
    "old": "streams.E004",
    "opaque": "streams.E005",
    "replica": "streams.E006",
    "failing": "streams.E007",
}
# Only problems that risk data in a crash can be permitted; with the others, nothing would work.
_LOSSY = {"forgetful", "evicting", "opaque"}


def check_redis(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    return redis_messages()


def redis_messages(report: RedisReport | None = None) -> list[CheckMessage]:
    """The messages for a report, by default for a new report about REDIS_URL."""
    report = report or inspect_redis(settings.REDIS_URL)
    return [_message(problem) for problem in report.problems]


def ensure_durable_redis() -> None:
    """Raises SystemCheckError with all problems that are not permitted by a setting."""
    errors = [message for message in redis_messages() if message.is_serious()]
    if errors:
        lines = [f"{error.msg} {error.hint} ({error.id})" for error in errors]
        raise SystemCheckError("\n".join(lines))


def _message(problem: Problem) -> CheckMessage:
    if problem.code in _LOSSY and settings.STREAMS_ALLOW_LOSSY_REDIS:
        return Warning(
            f"{problem.text} HOLDFAST_ALLOW_LOSSY_REDIS allows it.",
            hint=problem.hint,
            id="streams.W001",
        )
    return Error(problem.text, hint=problem.hint, id=_IDS[problem.code])
