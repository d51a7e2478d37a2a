from django.apps import AppConfig
from django.core.checks import register


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks
        from config.i18n import model_names

        model_names.make_translatable()
        register(checks.check_debug, "security")
        register(checks.check_door, "security", deploy=True)
