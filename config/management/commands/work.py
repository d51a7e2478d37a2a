import uvloop
from django.core.management.base import BaseCommand

from chat.worker import work
from config import ready


class Command(BaseCommand):
    help = "Write answers and do the periodic chores, until SIGTERM. Run as many as you like."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        uvloop.run(work(ready.tell))
