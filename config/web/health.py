"""/healthz: this process responds. /readyz: a message sent now would be answered and stored."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache

from chat.files.probe import recent_storage_problem
from chat.files.storage_threads import in_storage_thread
from chat.sending.outbox import ANSWERS_QUEUE
from streams.errors import StreamsError
from streams.log import get_log
from streams.queue import get_queue
from streams.server.checks import redis_messages
from streams.server.inspect import ainspect_redis

logger = logging.getLogger(__name__)

# A part that takes longer is not ready. Load balancers often give up after 5 seconds.
PROBE_TIMEOUT_S = 3.0

Probe = Callable[[], Awaitable[str]]


@never_cache
async def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


@never_cache
async def readyz(_request: HttpRequest) -> JsonResponse:
    """200 with status "ready", or 503 with `reasons`: a problem for each part, "" for none.

    "degraded" is 200 too: people can read, and a restart would not help. `warnings` says why.
    """
    reasons = await readiness()
    if any(reasons.values()):
        problem = {"status": "not ready", "reasons": reasons}
        return JsonResponse(problem, status=HTTPStatus.SERVICE_UNAVAILABLE)
    if warnings := await _warnings():
        return JsonResponse({"status": "degraded", "reasons": reasons, "warnings": warnings})
    return JsonResponse({"status": "ready", "reasons": reasons})


async def readiness() -> dict[str, str]:
    results = await asyncio.gather(*(_probe(name, probe) for name, probe in PROBES.items()))
    return dict(zip(PROBES, results, strict=True))


async def _warnings() -> dict[str, str]:
    problems = {"redis": await _memory(), "storage": await _storage()}
    return {part: problem for part, problem in problems.items() if problem}


async def _memory() -> str:
    try:
        return memory_problem(await get_log().memory.percent())
    except StreamsError:
        return ""


async def _storage() -> str:
    """Without storage people cannot attach files; everything else works."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await in_storage_thread(recent_storage_problem)
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_S:.0f} s"


def memory_problem(percent: float) -> str:
    """The text refused while `percent` of Redis's maxmemory is used, as a sentence; "" for none."""
    if percent >= settings.REDIS_PERCENT_FOR_ACCOUNTS:
        refused = "new text is refused"
    elif percent >= settings.REDIS_PERCENT_FOR_GUESTS:
        refused = "new text of guests is refused"
    else:
        return ""
    return f"{percent:.0f} % of its maxmemory is used: {refused}"


async def _probe(name: str, probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await probe()
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_S:.0f} s"
    except Exception:  # Any fault of a probe means "not ready".
        logger.warning("The readiness probe of %s failed", name, exc_info=True)
        return "failed; the log says how"


def database_problem() -> str:
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "unreachable"
    return f"{len(waiting)} migrations are not applied" if waiting else ""


async def _database() -> str:
    return await sync_to_async(database_problem)()


async def _redis() -> str:
    messages = redis_messages(await ainspect_redis(settings.REDIS_URL))
    return " ".join(str(message.msg) for message in messages if message.is_serious())


async def _worker() -> str:
    return "" if await get_queue(ANSWERS_QUEUE).workers() else "none is alive"


PROBES: dict[str, Probe] = {"redis": _redis, "database": _database, "worker": _worker}
