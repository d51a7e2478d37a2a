"""Django's cache in the Redis that also holds the log."""

import logging
from typing import Any, NoReturn

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import OutOfMemoryError

logger = logging.getLogger(__name__)


class SharedRedisCache(RedisCache):
    """People can sign in while Redis is full: allauth's counters are then not stored. Our own
    limits behave the same (accounts/limits.py)."""

    def add(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return bool(super().add(*args, **kwargs))
        except OutOfMemoryError:
            logger.warning("Redis is full: one of allauth's counters was not stored")
            return True

    def set(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().set(*args, **kwargs)
        except OutOfMemoryError:
            logger.warning("Redis is full: one of allauth's counters was not stored")

    def clear(self) -> NoReturn:
        """Django would empty the whole Redis database, and with it the log of every chat."""
        raise NotImplementedError("The cache shares its Redis with the log: let entries expire.")
