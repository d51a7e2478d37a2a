"""Django's cache in the Redis that also holds the log."""

import logging
from typing import Any, NoReturn

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import OutOfMemoryError

logger = logging.getLogger(__name__)


class SharedRedisCache(RedisCache):
    """A full Redis keeps nothing new, and signing in goes on: what allauth counts here is then not
    counted, as while ours are not (accounts/limits.py)."""

    def add(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return bool(super().add(*args, **kwargs))
        except OutOfMemoryError:
            logger.warning("Redis is full: a count of allauth is not kept")
            return True

    def set(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().set(*args, **kwargs)
        except OutOfMemoryError:
            logger.warning("Redis is full: a count of allauth is not kept")

    def clear(self) -> NoReturn:
        """Django would empty the whole database, and with it everything ever said."""
        raise NotImplementedError("The cache shares its Redis with the log: let entries expire.")
