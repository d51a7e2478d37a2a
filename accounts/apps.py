from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        from django.core.checks import register

        from accounts import personal_data_registry, security_events, sessions
        from accounts.personal_data.handlers import personal_data
        from accounts.preferences import picture_files
        from accounts.provider_keys import checks as key_checks
        from accounts.push import subscriptions
        from accounts.saved_prompts import store as saved_prompts

        register(key_checks.check_keys, "accounts", deploy=True)
        security_events.connect()
        sessions.connect()
        personal_data_registry.register(personal_data)
        personal_data_registry.register(picture_files.personal_data)
        personal_data_registry.register(saved_prompts.personal_data)
        personal_data_registry.register(subscriptions.personal_data)
