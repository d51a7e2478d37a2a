"""The channel layer waits for messages instead of polling for them."""

import asyncio
from contextlib import suppress

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from config.web.channel_layer import ChannelLayer, WaitingConnection
from tests.redis_server import RedisServer


@pytest.fixture
def server():
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
async def layer(server):
    layer = ChannelLayer(hosts=[server.url], prefix="t")
    yield layer
    await layer.flush()


@pytest.fixture
def reads(monkeypatch):
    """Each look for a message of a subscription."""
    looks = []
    get_message = PubSub.get_message

    def note(self, *arguments, **options):
        looks.append(options)
        return get_message(self, *arguments, **options)

    monkeypatch.setattr(PubSub, "get_message", note)
    return looks


async def received(layer, channel, number):
    await layer.group_send("all", {"type": "t", "number": number})
    async with asyncio.timeout(10):
        assert (await layer.receive(channel))["number"] == number


async def test_it_waits_for_messages_and_misses_none(layer, reads):
    channel = await layer.new_channel()
    await layer.group_add("all", channel)
    for number in range(5):
        await received(layer, channel, number)
    looks = len(reads)
    await asyncio.sleep(1)
    assert len(reads) <= looks + 1
    await received(layer, channel, 5)


async def test_it_waits_for_a_subscription_and_begins_again(layer, reads):
    for number in range(3):
        channel = await layer.new_channel()
        await layer.group_add("all", channel)
        await received(layer, channel, number)
        await layer.group_discard("all", channel)
        receiving = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0.1)
        receiving.cancel()  # A consumer that ends unsubscribes its channel like this.
        await asyncio.gather(receiving, return_exceptions=True)
    looks = len(reads)
    await asyncio.sleep(1)
    assert len(reads) <= looks + 1


async def test_it_survives_a_restart_of_redis(layer, server):
    channel = await layer.new_channel()
    await layer.group_add("all", channel)
    await received(layer, channel, 0)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(20):
        while True:
            # A lost message is one that was sent before the layer has subscribed again.
            with suppress(RedisError, OSError):
                await layer.group_send("all", {"type": "t"})
            if not layer._get_layer().channels[channel].empty():
                return
            await asyncio.sleep(0.1)


async def test_one_task_at_a_time_opens_a_connection_that_is_lost(layer, server):
    """It is lost while many tasks subscribe and one receives."""
    control = Redis.from_url(server.url)
    for number in range(50):
        group = f"group-{number}"
        first = await layer.new_channel()
        await control.client_kill_filter(_type="pubsub")
        channels = await asyncio.gather(*(layer.new_channel() for _ in range(5)))
        await asyncio.gather(*(layer.group_add(group, channel) for channel in [first, *channels]))
        for channel in [first, *channels]:
            await _hears(layer, group, channel)
            await layer.group_discard(group, channel)
    await control.aclose()


async def _hears(layer, group, channel):
    """A message may be lost with a connection, and no more than that."""
    async with asyncio.timeout(10):
        while layer._get_layer().channels[channel].empty():
            await layer.group_send(group, {"type": "t"})
            await asyncio.sleep(0.01)


def test_the_library_still_has_what_is_overridden():
    """WaitingConnection replaces these methods, and ChannelLayer the connections."""
    [parent] = WaitingConnection.__bases__
    for name in ("subscribe", "unsubscribe", "flush", "publish", "_do_receiving"):
        assert asyncio.iscoroutinefunction(getattr(parent, name))
    assert callable(parent._ensure_redis) and callable(parent._ensure_receiver)
    connection = WaitingConnection({"address": "redis://127.0.0.1"}, None)
    assert connection._receive_task is connection._pubsub is None
    assert connection._subscribed_to == set() and isinstance(connection._lock, asyncio.Lock)
