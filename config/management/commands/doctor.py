"""`manage.py doctor` reports the configuration, which services respond, and their durability."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.supervise.doctor import Finding, examine
from config.supervise.prepare import without_pool

MARKS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


class Command(BaseCommand):
    help = "Report the configuration, which services are reachable, and how durable they are."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--data", metavar="DIR", help="HOLDFAST_DATA")

    def handle(self, *_args: Any, **options: Any) -> None:
        without_pool()
        findings = examine()
        problems = sum(finding.level == "problem" for finding in findings)
        if options["json"]:
            report = {
                "healthy": not problems,
                "findings": [asdict(finding) for finding in findings],
            }
            self.stdout.write(json.dumps(report, indent=2))
        else:
            self._show(findings, problems)
        sys.exit(1 if problems else 0)

    def _show(self, findings: list[Finding], problems: int) -> None:
        width = max(len(finding.part) for finding in findings)
        for finding in findings:
            self.stdout.write(f"{MARKS[finding.level]}  {finding.part:{width}}  {finding.text}")
            if finding.hint:
                self.stdout.write(f"{'':{width + 11}}{finding.hint}")
        self.stdout.write(f"\n{problems} problems" if problems else "\nAll is well.")
