from django.apps import AppConfig
from django.core.checks import register


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks

        register(checks.check_debug, "security")
        register(checks.check_door, "security", deploy=True)
