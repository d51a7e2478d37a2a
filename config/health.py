"""/healthz: this process answers. /readyz: an answer asked for now would be generated and kept."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache

logger = logging.getLogger(__name__)

# A part that has not answered by then is not ready; who asks often gives up after 5 seconds.
PROBE_TIMEOUT_S = 3.0

Probe = Callable[[], Awaitable[str]]


@never_cache
async def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


@never_cache
async def readyz(_request: HttpRequest) -> JsonResponse:
    """200 and "ready", or 503 and for each part what is wrong with it ("" = nothing)."""
    reasons = await readiness()
    ready = not any(reasons.values())
    return JsonResponse(
        {"status": "ready" if ready else "not ready", "reasons": reasons},
        status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


async def readiness() -> dict[str, str]:
    results = await asyncio.gather(*(_probe(name, probe) for name, probe in PROBES.items()))
    return dict(zip(PROBES, results, strict=True))


async def _probe(name: str, probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await probe()
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_S:.0f} s"
    except Exception:  # Whatever is broken there, the answer is "not ready".
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


PROBES: dict[str, Probe] = {"database": _database}
