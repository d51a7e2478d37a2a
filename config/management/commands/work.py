import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand

from chat.worker import work
from config import ready
from config.checks import ensure_safe_door


class Command(BaseCommand):
    help = "Write answers and do the periodic chores, until SIGTERM. Run as many as you like."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        if not settings.SUPERVISED:  # `up` has seen to it.
            ensure_safe_door()
        uvloop.run(work(ready.tell))
