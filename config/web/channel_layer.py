"""The channel layer of channels-redis, without its polling.

The library asks its subscription for messages ten times a second in every process, whether there
are any or not. That is most of what an idle process costs. This one waits for as long as it takes.
It overrides a private method; `tests/config/web/test_channel_layer.py` fails when that moves.
"""

import asyncio
import logging
from typing import Any

from channels_redis.pubsub import (  # type: ignore[import-untyped]
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)

logger = logging.getLogger(__name__)

# One wait for a message. A broken connection ends it at once.
WAIT_S = 30.0
ERROR_PAUSE_S = 1.0


class WaitingConnection(RedisSingleShardConnection):  # type: ignore[misc]
    def __init__(self, host: Any, channel_layer: Any) -> None:
        super().__init__(host, channel_layer)
        self._is_subscribed = asyncio.Event()

    async def subscribe(self, channel: str) -> None:
        await super().subscribe(channel)
        self._is_subscribed.set()

    async def _do_receiving(self) -> None:
        while True:
            try:
                await self._receive_one()
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException:
                # `streams` logs a line when Redis is unavailable.
                logger.debug("Receiving from the channel layer failed", exc_info=True)
                await asyncio.sleep(ERROR_PAUSE_S)

    async def _receive_one(self) -> None:
        self._is_subscribed.clear()
        if self._pubsub is None or not self._pubsub.subscribed:
            await self._is_subscribed.wait()
        message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=WAIT_S)
        self._receive_message(message)


class ChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    def _get_layer(self) -> Any:
        layer: RedisPubSubLoopLayer = super()._get_layer()
        for position, shard in enumerate(layer._shards):
            if not isinstance(shard, WaitingConnection):
                layer._shards[position] = WaitingConnection(shard.host, layer)
        return layer
