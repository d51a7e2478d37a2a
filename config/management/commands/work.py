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
from config.supervise import open_files, ready

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Write answers and do the periodic chores, until SIGTERM. Run as many as you like."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        if not settings.SUPERVISED:  # `up` has seen to it.
            ensure_safe_door()
        open_files.ask_for_more()
        # Beside the work: a database that is slow to answer is no reason to start late.
        threading.Thread(target=_tell_of_keys, name="keys", daemon=True).start()
        uvloop.run(work(ready.tell))


def _tell_of_keys() -> None:
    try:
        messages = key_messages()
    except DatabaseProblem:  # Whatever needs the database says so.
        return
    finally:
        connection.close()
    for message in messages:
        if message.is_serious():  # Of some people's keys; all other answers are written.
            logger.error("%s %s (%s)", message.msg, message.hint, message.id)
