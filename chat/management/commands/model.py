from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat.local_model import LocalModelError, serve


class Command(BaseCommand):
    help = "Serve the embedded model on loopback until SIGTERM. `up` does this by itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8090, help="0 chooses a free one")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        try:
            serve(port, on_ready=self._say)
        except LocalModelError as e:
            raise CommandError(str(e)) from e

    def _say(self, url: str) -> None:
        self.stdout.write(f"The embedded model answers at {url}")
        self.stdout.flush()
