"""Shared connections to Redis: groups of sockets, counters, the cache."""

import asyncio
import gc
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import redis

from accounts import limits
from config.web.channel_layer import ChannelLayer
from config.web.redis_cache import SharedRedisCache
from tests.late_redis import late_redis
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server():
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(params=range(2))
def late(request, server):
    with late_redis(server.url, request.param) as between:
        yield between


# The client library closes broken connections when they are collected, and may fail at that. They
# are collected here, so that it fails no later test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_socket_hears_only_its_own_groups(late):
    """Also when receivers are cancelled again and again, and Redis is slow or unreachable."""
    asyncio.run(_send_to_groups(late))
    gc.collect()


async def _send_to_groups(late):
    layer = ChannelLayer(hosts=[late.url], prefix="t")
    dice, heard = random.Random(1), 0

    async def person(number):
        for turn in range(15):
            with suppress(redis.RedisError, OSError, TimeoutError):
                await send_and_receive(number, turn)

    async def send_and_receive(number, turn):
        nonlocal heard
        channel = await layer.new_channel()
        try:
            await layer.group_add(f"person-{number}", channel)
            said = {"type": "t", "mark": f"{number}-{turn}"}
            sending = asyncio.create_task(layer.group_send(f"person-{number}", said))
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() * 0.02)
                sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            async with asyncio.timeout(dice.random() * 0.2):
                message = await layer.receive(channel)
            assert message["mark"].startswith(f"{number}-")
            heard += 1
        finally:
            await layer.group_discard(f"person-{number}", channel)

    async with asyncio.timeout(100):
        await asyncio.gather(*map(person, range(15)))
    assert heard
    late.calm = True
    await layer.flush()


@pytest.mark.parametrize("kind", ["counts", "cache"])
def test_threads_get_their_own_replies(late, monkeypatch, kind):
    if kind == "counts":
        monkeypatch.setattr(limits, "REDIS_TIMEOUT_S", 0.05)
        limits._client.cache_clear()
        client = limits._client(late.url)
        ask = client.echo
    else:
        options = {"socket_timeout": 0.05}
        cache = SharedRedisCache(late.url, {"OPTIONS": options, "KEY_PREFIX": "t"})

        def ask(mark):
            cache.set(mark, mark.encode())
            return cache.get(mark, mark.encode())

    def person(number):
        answered = 0
        for turn in range(30):
            mark = f"{number}-{turn}"
            with suppress(redis.RedisError, OSError):
                assert ask(mark) == mark.encode()
                answered += 1
        return answered

    with ThreadPoolExecutor(8) as threads:
        answered = sum(threads.map(person, range(8)))
    assert answered and late.late
    limits._client.cache_clear()
