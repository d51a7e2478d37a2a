from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        from django.core.checks import register

        from accounts import key_checks, picture_files, security_events, sessions, spanning
        from accounts.own_belongings import belongings

        register(key_checks.check_keys, "accounts", deploy=True)
        security_events.connect()
        sessions.connect()
        spanning.register(belongings)
        spanning.register(picture_files.belongings)
