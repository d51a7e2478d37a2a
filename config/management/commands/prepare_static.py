from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.supervise.prepare import PrepareError, collect_static


class Command(BaseCommand):
    help = "Collect the static files as `up` does: only if they have changed. For building images."
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            done = collect_static()
        except PrepareError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Collected." if done else "Nothing has changed.")
