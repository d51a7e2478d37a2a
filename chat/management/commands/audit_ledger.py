"""manage.py audit_ledger [--json]"""

import asyncio
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import audit
from billing.models import AuditRun
from streams.log import close_log


class Command(BaseCommand):
    help = (
        "Work out all balances from the ledger and all charges from the log. A line for each "
        "difference; the exit status is 1 if there is any."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead")

    def handle(self, *args: object, **options: Any) -> None:
        found = asyncio.run(_run())
        if options["json"]:
            said = {"checked": found.checked, "differences": found.differences}
            self.stdout.write(json.dumps(said))
        else:
            for line in found.differences:
                self.stdout.write(line)
            counted = ", ".join(f"{count} {kind}" for kind, count in found.checked.items())
            self.stdout.write(f"Looked at {counted}.")
        if not found.is_clean:
            raise CommandError(f"The books do not balance: {len(found.differences)} differences.")
        if not options["json"]:
            self.stdout.write("The books balance.")


async def _run() -> AuditRun:
    try:
        return await audit.run()
    finally:
        await close_log()
