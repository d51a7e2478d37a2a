"""/healthz and /readyz, in process, while each part in turn is unreachable."""

import asyncio
from http import HTTPStatus

import pytest
import redis
from django.core.checks import run_checks
from django.test import AsyncClient

from chat.sending.outbox import ANSWERS_QUEUE
from config.supervise import doctor
from streams.log import close_log
from streams.queue import close_queues, get_queue
from streams.server.inspect import inspect_redis

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
async def worker(redis_url):
    """A heartbeat like a worker's."""
    await get_queue(ANSWERS_QUEUE).beat("worker", b"{}")
    yield
    await close_queues()


async def reasons():
    response = await AsyncClient().get("/readyz")
    return response.status_code, response.json()["reasons"]


async def test_all_is_well(worker):
    assert await reasons() == (HTTPStatus.OK, {"redis": "", "database": "", "worker": ""})


async def test_no_worker(redis_url):
    status, why = await reasons()
    await close_queues()
    assert (status, why["worker"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "none is alive")


async def test_no_redis(worker, settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    status, why = await reasons()
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "does not answer" in why["redis"]


@pytest.mark.parametrize(
    ("guests", "accounts", "refused"),
    [(90, 95, ""), (10, 95, "new text of guests is"), (10, 15, "new text is")],
)
async def test_a_redis_that_is_nearly_full_is_no_reason_to_be_replaced(
    worker, redis_url, settings, guests, accounts, refused
):
    settings.REDIS_PERCENT_FOR_GUESTS, settings.REDIS_PERCENT_FOR_ACCOUNTS = guests, accounts
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", 2 * client.info("memory")["used_memory"])
        try:
            response = await AsyncClient().get("/readyz")
            found = await asyncio.to_thread(doctor._redis, inspect_redis(redis_url))
        finally:
            client.config_set("maxmemory", 0)
            await close_log()
    assert response.status_code == HTTPStatus.OK
    assert response.json()["status"] == ("degraded" if refused else "ready")
    assert refused in response.json().get("warnings", {"redis": ""})["redis"]
    warned = [one for one in found if "maxmemory is used" in one.text]
    assert [one.level for one in warned] == (["warning"] if refused else [])
    assert all(refused in one.text and "HOLDFAST_REDIS_MAX_MEMORY_MB" in one.hint for one in warned)


async def test_the_process_itself_is_alive_all_the_same(settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    response = await AsyncClient().get("/healthz")
    assert (response.status_code, response.json()) == (HTTPStatus.OK, {"status": "alive"})
    assert "no-store" in response["Cache-Control"]


def test_config_w001(settings):
    settings.DEBUG = True
    assert "config.W001" not in [check.id for check in run_checks()]
    settings.HOST = "0.0.0.0"
    assert "config.W001" in [check.id for check in run_checks()]
