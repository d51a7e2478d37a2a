from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandParser

from chat.search import indexer
from streams.log import close_log

CHATS_AT_A_TIME = 50


class Command(BaseCommand):
    help = (
        "Read all messages from the log again and index them for search. The site may run "
        "meanwhile. If this is interrupted, the workers continue it; so does --resume."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--resume", action="store_true", help="only the chats that an earlier run has not read"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["resume"]:
            indexer.start_over()
        self.stdout.write(f"{indexer.due_count()} chats to read.")
        chats = async_to_sync(self._read_all)()
        self.stdout.write(self.style.SUCCESS(f"Search is up to date; {chats} chats read."))

    async def _read_all(self) -> int:
        chats = 0
        try:
            while found := await indexer.catch_up(CHATS_AT_A_TIME):
                chats += found
        finally:
            await close_log()
        return chats
