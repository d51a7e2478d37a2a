"""Inspects how durable a Redis is, from its own reports. For system checks, doctor and /readyz."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from .memory import percent_of

OLDEST_VERSION = (6, 2)
TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Problem:
    """`code` is one of unreachable, old, forgetful, evicting, opaque, replica, failing."""

    code: str
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class RedisReport:
    """The values that Redis reports; None for values that it does not report.

    The log can be kept in this Redis if `problems` is empty.
    """

    reachable: bool
    version: str | None = None
    append_only: bool | None = None
    append_fsync: str | None = None
    eviction_policy: str | None = None
    role: str | None = None
    used_memory_bytes: int | None = None
    max_memory_bytes: int | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def percent_used(self) -> float:
        """The percentage of maxmemory in use; 0 without a limit."""
        return percent_of(self.used_memory_bytes or 0, self.max_memory_bytes or 0)

    @property
    def durable(self) -> bool:
        return not self.problems


async def ainspect_redis(url: str) -> RedisReport:
    return await asyncio.to_thread(inspect_redis, url)


def inspect_redis(url: str) -> RedisReport:
    """Report on the Redis at `url`. Takes at most a few seconds and never raises: an unreachable
    Redis is reported as a problem too."""
    try:
        # Without retries, to report the present state.
        client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            protocol=2,
        )
    except ValueError:
        return RedisReport(False, problems=[_bad_url()])
    with client:
        try:
            info: dict[str, Any] = client.info()
            report = _report(info, _config(client))
        except (RedisError, OSError) as error:
            return RedisReport(False, problems=[_unreachable(error)])
    report.problems.extend(_problems(report, info))
    return report


def _config(client: "redis.Redis") -> dict[str, str]:
    """The durability settings; empty if CONFIG is not permitted, as in many hosted services."""
    config: dict[str, str] = {}
    try:
        for name in ("appendonly", "appendfsync", "maxmemory-policy"):
            answer: dict[Any, Any] = client.config_get(name)
            config.update({str(key): str(value) for key, value in answer.items()})
    except ResponseError:
        return {}
    return config


def _report(info: dict[str, Any], config: dict[str, str]) -> RedisReport:
    enabled = info.get("aof_enabled")
    return RedisReport(
        True,
        version=str(info.get("redis_version", "")),
        append_only=config["appendonly"] == "yes"
        if "appendonly" in config
        else (None if enabled is None else bool(enabled)),
        append_fsync=config.get("appendfsync"),
        eviction_policy=config.get("maxmemory-policy", info.get("maxmemory_policy")),
        role=info.get("role"),
        used_memory_bytes=info.get("used_memory"),
        max_memory_bytes=info.get("maxmemory"),
    )


def _problems(report: RedisReport, info: dict[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    if _too_old(report.version or ""):
        problems.append(
            Problem(
                "old",
                f"Redis {report.version} is too old.",
                "Redis 6.2 or later is needed; unset REDIS_URL to use the embedded one.",
            )
        )
    if report.append_only is False or report.append_fsync not in (None, "always"):
        problems.append(_forgetful(report))
    elif report.append_only is None or report.append_fsync is None:
        problems.append(
            Problem(
                "opaque",
                "Redis does not say how it syncs its file (CONFIG GET is not allowed).",
                "Allow CONFIG GET to this user, or, if you know that appendonly is yes and "
                "appendfsync always, set HOLDFAST_ALLOW_LOSSY_REDIS=True.",
            )
        )
    if report.eviction_policy not in (None, "noeviction"):
        problems.append(
            Problem(
                "evicting",
                f"A full Redis would drop entries (maxmemory-policy is {report.eviction_policy}).",
                "Set maxmemory-policy noeviction.",
            )
        )
    if report.role not in (None, "master"):
        problems.append(
            Problem(
                "replica",
                "This Redis is a replica, which accepts no writes.",
                "Set REDIS_URL to its primary.",
            )
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        problems.append(
            Problem(
                "failing",
                "The last write of Redis to its file failed.",
                "Look for a full or broken disk where Redis keeps its data.",
            )
        )
    return problems


def _too_old(version: str) -> bool:
    numbers = version.split(".")[:2]
    if len(numbers) < 2 or not all(number.isdigit() for number in numbers):
        return False
    return (int(numbers[0]), int(numbers[1])) < OLDEST_VERSION


def _forgetful(report: RedisReport) -> Problem:
    how = (
        "appendonly is no"
        if report.append_only is False
        else f"appendfsync is {report.append_fsync}"
    )
    return Problem(
        "forgetful",
        f"This Redis would forget what it has acknowledged ({how}).",
        "Set appendonly yes and appendfsync always. To run anyway and lose answers in a "
        "crash, set HOLDFAST_ALLOW_LOSSY_REDIS=True.",
    )


def _bad_url() -> Problem:
    return Problem(
        "unreachable",
        "REDIS_URL is not the URL of a Redis.",
        "It looks like redis://host:6379/0, rediss://host:6379/0 or unix:///path/redis.sock.",
    )


def _unreachable(error: Exception) -> Problem:
    # Only the class: the text of some errors contains the URL with its password.
    return Problem(
        "unreachable",
        f"Redis does not answer ({type(error).__name__}).",
        "Start Redis and see that REDIS_URL is right, password included; `manage.py up` starts one "
        "by itself when REDIS_URL is not set.",
    )
