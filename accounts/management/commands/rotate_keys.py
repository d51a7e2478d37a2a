"""`manage.py rotate_keys`: encrypt all stored provider keys with the newest encryption key."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.provider_keys.encryption import current_version
from accounts.provider_keys.rotation import ReadingFailedError, rotate
from accounts.provider_keys.store import missing_versions, versions_stored


class Command(BaseCommand):
    help = (
        "Encrypt all provider keys of people with the first of HOLDFAST_KEY_ENCRYPTION_KEYS. "
        "Workers may run meanwhile; an interrupted run continues when it is repeated."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="only count; exit status 1 when there is work"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        newest, stored = current_version(), versions_stored()
        outdated = sum(number for version, number in stored.items() if version != newest)
        if options["check"]:
            for version, number in sorted(stored.items()):
                self.stdout.write(f"version {version}: {number} keys")
            self.stdout.write(f"{outdated} keys are to be encrypted with version {newest}.")
            self._refuse_missing()
            if outdated:
                sys.exit(1)
            return
        self._refuse_missing()
        try:
            done = rotate(lambda so_far: self.stdout.write(f"{so_far} of {outdated} …"))
        except ReadingFailedError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{done} keys are now encrypted with version {newest}.")

    def _refuse_missing(self) -> None:
        if missing := missing_versions():
            listed = ", ".join(f"{version} ({number} keys)" for version, number in missing.items())
            raise CommandError(
                "HOLDFAST_KEY_ENCRYPTION_KEYS lacks versions that keys are encrypted with: "
                f"{listed}. Add them behind the first; nothing was changed."
            )
