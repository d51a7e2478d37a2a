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
        "Recompute all balances from the ledger and all charges from the log. Print a line for "
        "each difference; the exit status is 1 if there are any."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead")

    def handle(self, *args: object, **options: Any) -> None:
        audit_run = asyncio.run(_run())
        if options["json"]:
            report = {"checked": audit_run.checked, "differences": audit_run.differences}
            self.stdout.write(json.dumps(report))
        else:
            for line in audit_run.differences:
                self.stdout.write(line)
            counted = ", ".join(f"{count} {kind}" for kind, count in audit_run.checked.items())
            self.stdout.write(f"Looked at {counted}.")
        if not audit_run.is_clean:
            raise CommandError(
                f"The books do not balance: {len(audit_run.differences)} differences."
            )
        if not options["json"]:
            self.stdout.write("The books balance.")


async def _run() -> AuditRun:
    try:
        return await audit.run()
    finally:
        await close_log()
