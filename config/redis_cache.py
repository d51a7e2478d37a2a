"""Django's cache in the Redis that also holds the log."""

from typing import NoReturn

from django.core.cache.backends.redis import RedisCache


class SharedRedisCache(RedisCache):
    def clear(self) -> NoReturn:
        """Django would empty the whole database, and with it everything ever said."""
        raise NotImplementedError("The cache shares its Redis with the log: let entries expire.")
