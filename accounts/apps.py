from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import picture_files, security_events, sessions, spanning
        from accounts.own_belongings import belongings

        security_events.connect()
        sessions.connect()
        spanning.register(belongings)
        spanning.register(picture_files.belongings)
