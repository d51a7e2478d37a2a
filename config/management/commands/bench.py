"""`manage.py bench` measures Holdfast on this machine against its budgets: tests/bench/."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Start a separate Holdfast with a simulated model and measure it (for developers)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quick", action="store_true", help="fewer samples, under a minute")
        parser.add_argument(
            "--only", action="append", metavar="NAME", help="one measure; may be repeated"
        )
        parser.add_argument(
            "--database", choices=("sqlite", "postgresql"), default="sqlite", help="default: sqlite"
        )
        parser.add_argument(
            "--json", metavar="FILE", type=Path, help="also write all results there"
        )

    def handle(
        self,
        *,
        quick: bool,
        only: list[str] | None,
        database: str,
        json: Path | None,
        **_options: Any,
    ) -> None:
        if find_spec("tests") is None or find_spec("tests.bench") is None:
            raise CommandError("The bench is in the folder tests/, which is not here.")
        from tests.bench.bench import run
        from tests.bench.measures import MEASURES
        from tests.bench.report import table

        unknown = set(only or ()) - set(MEASURES)
        if unknown:
            raise CommandError(
                f"There is no measure {sorted(unknown)[0]!r}; there are: {', '.join(MEASURES)}"
            )
        chosen = {name: MEASURES[name] for name in MEASURES if only is None or name in only}
        bench = run(chosen, quick=quick, database=database, say=self.stderr.write)
        self.stdout.write(table(bench.rows))
        if json is not None:
            rows = [row.to_dict() for row in bench.rows]
            _write(json, {"rows": rows, "failed": bench.failed, **bench.details})
        if bench.failed:
            raise CommandError(f"These measures failed: {', '.join(bench.failed)}")


def _write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=1) + "\n")
