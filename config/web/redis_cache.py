"""Django's cache in the Redis that also holds the log."""

import logging
from typing import Any, NoReturn

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import OutOfMemoryError

logger = logging.getLogger(__name__)


class SharedRedisCache(RedisCache):
    """A cache that drops counters of allauth while Redis is full, so that people can still sign in.
    Our own limits behave the same (accounts/limits.py)."""

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
        """Refuse: Django would empty the whole Redis database, including the log of every chat."""
        raise NotImplementedError("The cache shares its Redis with the log: let entries expire.")
