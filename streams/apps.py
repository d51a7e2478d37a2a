from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class StreamsConfig(AppConfig):
    name = "streams"
    verbose_name = _("Log")

    def ready(self) -> None:
        from streams.server.checks import TAG, check_redis

        register(check_redis, TAG, deploy=True)
