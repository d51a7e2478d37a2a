import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chat.llm.embedded import LocalModelError, check


class Command(BaseCommand):
    """Replaces itself with `python -m chat.llm.embedded`, which does not load Django."""

    help = "Serve the embedded model on loopback until SIGTERM. `up` does this by itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8090, help="0 chooses a free one")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        try:
            port = check(port)
        except LocalModelError as error:
            raise CommandError(str(error)) from error
        os.chdir(settings.BASE_DIR)
        argv = [sys.executable, "-m", "chat.llm.embedded", "--port", str(port)]
        os.execv(argv[0], argv)  # noqa: S606  our own interpreter, no shell
