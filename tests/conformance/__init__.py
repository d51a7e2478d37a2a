"""The conformance suite of the Model Context Protocol, on the Node of the tests.

npm fetches it once (tests/npm.py). Each scenario plays a server; tests/conformance/client.py is
our client. `python3 manage.py conformance mcp` runs all of them.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests import npm
from tests.node import NODE
from tests.npm import NotInstalledError

__all__ = ["REVISIONS", "NotInstalledError", "Outcome", "installed", "run", "scenarios"]

HERE = Path(__file__).parent
REVISIONS = ("2026-07-28", "2025-11-25")
SCENARIO_S = 120
# What our client does not offer: docs/decisions/tools.md.
ELICITATION = "elicitation-sep1034-client-defaults"
_LINE = re.compile(r"^  - (\S+) \[([^\]]*)\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    scenario: str
    revision: str
    passed: bool
    output: str

    @property
    def is_not_offered(self) -> bool:
        return self.scenario == ELICITATION or self.scenario.startswith("auth/")


def installed() -> Path:
    """Returns the suite's entry point, installing it if needed. Raises NotInstalledError."""
    modules = npm.installed(HERE)
    return modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def scenarios(revision: str) -> list[str]:
    """The names of the scenarios for clients that apply to a revision."""
    command = [str(NODE), str(installed()), "list", "--client"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SCENARIO_S)
    return [name for name, known in _LINE.findall(done.stdout) if revision in known.split(",")]


def run(scenario: str, revision: str) -> Outcome:
    """Runs one scenario against our client in a process of its own."""
    client = f"{sys.executable} -m tests.conformance.client"
    command = [str(NODE), str(installed()), "client", "--command", client]
    command += ["--scenario", scenario, "--spec-version", revision]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        command,
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SCENARIO_S,
    )
    passed = done.returncode == 0 and "SKIPPED: scenario" not in done.stdout
    return Outcome(scenario, revision, passed, done.stdout + done.stderr)
