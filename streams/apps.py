from django.apps import AppConfig
from django.core.checks import register


class StreamsConfig(AppConfig):
    name = "streams"
    verbose_name = "Log"

    def ready(self) -> None:
        from .checks import TAG, check_redis

        register(check_redis, TAG, deploy=True)
