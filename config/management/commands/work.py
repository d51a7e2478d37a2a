import logging
import threading

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseProblem
from django.db import connection

from accounts.provider_keys.checks import key_messages
from chat.generation.worker import work
from config.checks import ensure_safe_door
from config.supervise import open_files, process_memory, ready

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Write answers and do the periodic chores, until SIGTERM. Run as many as you like."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        if not settings.SUPERVISED:  # `up` has checked this.
            ensure_safe_door()
        open_files.ask_for_more()
        process_memory.return_large_blocks()
        # In a thread, so that a slow database does not delay the start.
        threading.Thread(target=_log_key_problems, name="keys", daemon=True).start()
        uvloop.run(work(_begin))


def _begin() -> None:
    process_memory.freeze_start()
    ready.tell()


def _log_key_problems() -> None:
    try:
        messages = key_messages()
    except DatabaseProblem:  # The worker logs it when it needs the database.
        return
    finally:
        connection.close()
    for message in messages:
        if message.is_serious():  # This concerns some people's keys; other replies are generated.
            logger.error("%s %s (%s)", message.msg, message.hint, message.id)
