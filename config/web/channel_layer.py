"""The channel layer of channels-redis, without its polling, and with one connection at a time.

The library asks its subscription for messages ten times a second in every process, whether there
are any or not. That is most of what an idle process costs. This one waits for as long as it takes.

When the connection of a subscription is lost, redis-py connects again wherever it notices, and two
tasks notice: the one that receives and one that subscribes. Both then shake hands on the same
connection, and one reads the reply to the other. Here a lost connection is given up, and a new one
is opened under the lock, subscribed to everything.

It overrides private methods; `tests/config/web/test_channel_layer.py` fails when they move.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from channels_redis.pubsub import (  # type: ignore[import-untyped]
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from channels_redis.utils import create_pool  # type: ignore[import-untyped]
from redis import asyncio as aioredis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# One wait for a message. A broken connection ends it at once.
WAIT_S = 30.0
ERROR_PAUSE_S = 1.0
# Without retries, redis-py still connects again after an error that it supports.
NO_RETRY = {"retry": Retry(NoBackoff(), 0, supported_errors=())}


class WaitingConnection(RedisSingleShardConnection):  # type: ignore[misc]
    """`_pubsub` is a connected subscription to all of `_subscribed_to`, or None."""

    _pubsub: PubSub | None
    _receive_task: asyncio.Task[None] | None
    _redis: aioredis.Redis | None

    async def subscribe(self, channel: str) -> None:
        async with self._lock:
            if channel in self._subscribed_to:
                return
            self._subscribed_to.add(channel)
            try:
                await self._send_subscribe(channel)
            except BaseException:
                self._subscribed_to.discard(channel)
                raise

    async def unsubscribe(self, channel: str) -> None:
        """Does not fail: a connection that is opened later is not subscribed to the channel."""
        async with self._lock:
            if channel not in self._subscribed_to:
                return
            self._subscribed_to.remove(channel)
            if self._pubsub is None:
                return
            try:
                await self._pubsub.unsubscribe(channel)
            except (RedisError, OSError):
                await self._drop()

    async def flush(self) -> None:
        async with self._lock:
            receiving, self._receive_task = self._receive_task, None
            pubsub, self._pubsub = self._pubsub, None
            if receiving is not None:
                receiving.cancel()
                await asyncio.wait([receiving])
            if pubsub is not None:
                await _close(pubsub)
        await super().flush()

    def _ensure_redis(self) -> None:
        """Only for what is sent; the subscription has a connection of its own."""
        if self._redis is None:
            self._redis = aioredis.Redis(connection_pool=create_pool(self.host))

    # With the lock held

    async def _send_subscribe(self, channel: str) -> None:
        if self._pubsub is not None:
            try:
                await self._pubsub.subscribe(channel)
            except (RedisError, OSError):
                await self._drop()
            else:
                return
        await self._open()

    async def _open(self) -> None:
        pubsub = aioredis.Redis(connection_pool=create_pool(self.host | NO_RETRY)).pubsub()
        try:
            if self._subscribed_to:
                await pubsub.subscribe(*self._subscribed_to)
            else:
                await pubsub.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await _close(pubsub)
            raise
        self._pubsub = pubsub
        if self._receive_task is not asyncio.current_task():
            self._restart_receiver()

    async def _drop(self) -> None:
        """Give up the connection; the receiver opens another one."""
        pubsub, self._pubsub = self._pubsub, None
        self._restart_receiver()
        if pubsub is not None:
            await _close(pubsub)

    def _restart_receiver(self) -> None:
        """The former one may pause, or wait for a lost connection until its time is over."""
        if self._receive_task is not None:
            self._receive_task.cancel()
        self._receive_task = None
        self._ensure_receiver()

    # The receiver

    async def _do_receiving(self) -> None:
        while self._receive_task is asyncio.current_task():
            try:
                await self._receive_one()
            except Exception:
                # `streams` logs a line when Redis is unavailable.
                logger.debug("Receiving from the channel layer failed", exc_info=True)
                await asyncio.sleep(ERROR_PAUSE_S)

    async def _receive_one(self) -> None:
        pubsub = self._pubsub
        if pubsub is None:
            await self._reopen()
            return
        began_s = asyncio.get_running_loop().time()
        try:
            # A subscription that is not connected would connect here, without the lock.
            if pubsub.connection is None or not pubsub.connection.is_connected:
                raise ConnectionError("The connection is lost")
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=WAIT_S)
        except Exception:
            await self._forget(pubsub)
            # A connection that worked for a while is replaced without a pause.
            if asyncio.get_running_loop().time() - began_s < ERROR_PAUSE_S:
                raise
            return
        self._receive_message(message)

    async def _reopen(self) -> None:
        async with self._lock:
            if self._pubsub is None:
                await self._open()

    async def _forget(self, pubsub: PubSub) -> None:
        async with self._lock:
            if self._pubsub is pubsub:
                self._pubsub = None
        await _close(pubsub)


async def _close(pubsub: PubSub) -> None:
    with suppress(Exception):
        await pubsub.aclose()  # type: ignore[no-untyped-call]
        await pubsub.connection_pool.disconnect()


class ChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    def _get_layer(self) -> Any:
        layer: RedisPubSubLoopLayer = super()._get_layer()
        for position, shard in enumerate(layer._shards):
            if not isinstance(shard, WaitingConnection):
                layer._shards[position] = WaitingConnection(shard.host, layer)
        return layer
