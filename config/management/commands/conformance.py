"""Runs a protocol's conformance suite against our client: `python3 manage.py conformance mcp`."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Runs the conformance suite of the Model Context Protocol against our client."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("suite", choices=["mcp"])
        parser.add_argument("--revision", help="only this revision, such as 2026-07-28")
        parser.add_argument("--scenario", help="only scenarios whose name contains this")
        parser.add_argument("--show", action="store_true", help="print what failed scenarios said")

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs one scenario at a time; the last line is `passed/all`."""
        # The tests' packages are installed for this command as for `test`.
        from tests import conformance

        passed = total = 0
        try:
            for revision in conformance.REVISIONS:
                if options["revision"] not in (None, revision):
                    continue
                for name in conformance.scenarios(revision):
                    if (options["scenario"] or "") not in name:
                        continue
                    outcome = conformance.run(name, revision)
                    total, passed = total + 1, passed + outcome.passed
                    self._report(outcome, options["show"])
        except conformance.NotInstalledError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{passed}/{total}")

    def _report(self, outcome: Any, show: bool) -> None:
        verdict = "ok" if outcome.passed else "not offered" if outcome.is_not_offered else "FAILED"
        self.stdout.write(f"{outcome.revision} {outcome.scenario}: {verdict}")
        if show and not outcome.passed:
            self.stdout.write(outcome.output)
