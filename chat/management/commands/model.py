import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chat.llm.embedded import LocalModelError, check


class Command(BaseCommand):
    """Turns into `python -m chat.llm.embedded`: the same process, without Django's memory."""

    help = "Serve the embedded model on loopback until SIGTERM. `up` does this by itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8090, help="0 chooses a free one")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        try:
            port = check(port)
        except LocalModelError as e:
            raise CommandError(str(e)) from e
        os.chdir(settings.BASE_DIR)
        argv = [sys.executable, "-m", "chat.llm.embedded", "--port", str(port)]
        os.execv(argv[0], argv)  # noqa: S606  ourselves, no shell
