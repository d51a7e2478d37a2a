"""Runs the tests and prepares what they need.

    manage.py test [--lint] [--retry] [--full] [--durations] [--screenshots] [-n N]
                   [arguments of pytest]

1. With --lint: the linters, the type checker and Django's own checks, before the tests.
2. A browser is found or installed. If the arguments name single tests, this is left to the browser
   tests among them.
3. pytest runs twice: all tests on SQLite, then on a real PostgreSQL (tests/settings.py starts it)
   those marked `both_databases`. With --full, or if single tests are named, the second run has all
   tests that use the database. The last line counts the tests of both runs.
4. Each run has several processes (pytest-xdist), because most tests wait for I/O: two for each
   core, or HOLDFAST_TEST_PROCESSES, or -n. Single tests run in pytest's own process.
5. With --retry (CI): up to FEW failed tests are run once more, alone. The last lines name and count
   those that passed the second time: the machine was too busy, or the test is faulty.
6. With --full: also the tests that take too long for every commit; CONTRIBUTING.md lists them.
7. With --durations: lists the slowest files and tests of each run. Pytest's own option takes a
   number.
8. With --screenshots: the browser tests save pictures of the pages in .test/screenshots.

Processes and files that the tests leave are removed at the end (tests/runner/contained.py).
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass, field, replace

from tests.runner import contained, postgresql
from tests.runner.chromium import BrowserError, find_browser
from tests.runner.lint import run_lint
from tests.runner.machine import BASE_DIR, cores, say

TESTS_FAILED, NO_TESTS_RAN = 1, 5
FEW = 12
MOST_PROCESSES = 8
# Short options of pytest that are followed by a value; the first two select tests.
WITH_VALUE = ("-k", "-m", "-p", "-c", "-o", "-W", "-r")


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0 if every step and every test passed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--lint", action="store_true")
    parser.add_argument("--retry", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--screenshots", action="store_true")
    parser.add_argument("-n", "--numprocesses", default="")
    # Not an option of the parser, which would refuse pytest's `--durations=30`.
    if "--durations" in arguments:
        os.environ["HOLDFAST_TEST_DURATIONS"] = "1"
    arguments = [argument for argument in arguments if argument != "--durations"]
    ours, arguments = parser.parse_known_args(arguments)
    if ours.lint and not run_lint():
        return 1
    if ours.full:
        os.environ["HOLDFAST_TEST_FULL"] = "1"
    if ours.screenshots:
        os.environ["HOLDFAST_TEST_SCREENSHOTS"] = str(BASE_DIR / ".test" / "screenshots")
    everything = arguments == options(arguments)
    if not everything:
        os.environ["HOLDFAST_TEST_NAMED"] = "1"
    if fault := missing(everything):
        say(f"holdfast: {fault}")
        return 1
    return run_tests(arguments, ours.numprocesses or processes(everything), retry=ours.retry)


def missing(everything: bool) -> str:
    """Returns one line on what this machine lacks and what to do; "" if it lacks nothing."""
    try:
        postgresql.prepare()
        if everything:
            find_browser()
    except (postgresql.PostgresqlError, BrowserError) as error:
        return str(error)
    return ""


def processes(everything: bool) -> str:
    """Returns the number of xdist processes; "0" runs the tests in pytest's own process."""
    if not everything:
        return "0"
    return os.environ.get("HOLDFAST_TEST_PROCESSES") or str(min(2 * cores(), MOST_PROCESSES))


@dataclass
class Counts:
    """The results of one or more runs of pytest. `again` passed only when repeated."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: int = 0
    again: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{self.passed} passed, {len(self.failed)} failed"
        text += f", {self.skipped} skipped" if self.skipped else ""
        return text + (f", {len(self.again)} of them only when repeated" if self.again else "")


def run_tests(arguments: list[str], number: str, *, retry: bool) -> int:
    total, statuses = Counts(), set()
    several = [] if number == "0" else ["-n", number]
    for database in ("sqlite", "postgresql"):
        status, counts = _pytest(database, [*several, *arguments])
        if retry and status == TESTS_FAILED and len(counts.failed) <= FEW:
            status, counts = _again(database, arguments, counts)
        total.passed += counts.passed
        total.failed += counts.failed
        total.skipped += counts.skipped
        total.again += counts.again
        statuses.add(status)
        if status == contained.INTERRUPTED:
            break
    statuses -= {0}
    if total.passed or total.failed:
        statuses -= {NO_TESTS_RAN}  # No test of this selection touches the database.
    for name in total.again:
        say(f"passed only when repeated: {name}")
    say(str(total))
    return max(statuses, default=0)


def _again(database: str, arguments: list[str], first: Counts) -> tuple[int, Counts]:
    """Runs only the failed tests once more."""
    status, second = _pytest(database, [*options(arguments), *first.failed])
    again = [name for name in first.failed if name not in second.failed]
    if status not in (0, TESTS_FAILED):
        return status, first
    counts = Counts(first.passed + len(again), second.failed, first.skipped, again)
    return status, counts


def options(arguments: list[str]) -> list[str]:
    """Returns the arguments without those that select tests."""
    kept = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name = before if before in WITH_VALUE else argument
        if name.startswith("-") and name[:2] not in ("-k", "-m"):
            kept.append(argument)
    return kept


def _pytest(database: str, arguments: list[str]) -> tuple[int, Counts]:
    say(f"Tests on {'SQLite' if database == 'sqlite' else 'PostgreSQL'}")
    with contained.own_folder() as folder:
        counts_path = folder / "counts"
        environment = os.environ | {
            "HOLDFAST_TEST_DATABASE": database,
            "HOLDFAST_TEST_COUNTS": str(counts_path),
            "HOLDFAST_TEST_SHARED": str(folder),
            "TMPDIR": str(folder),
        }
        # Without compiled files, each process would rewrite the assertions of all tests again.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if "-n" in arguments:
            environment["HOLDFAST_TEST_DIRECTS"] = "1"
        command = [sys.executable, "-m", "pytest", f"--basetemp={folder / 't'}", *arguments]
        status = contained.run(command, cwd=BASE_DIR, env=environment)
        counts = Counts(**json.loads(counts_path.read_text())) if counts_path.exists() else Counts()
    if status not in (0, NO_TESTS_RAN) and not counts.failed:
        # pytest itself failed: it crashed, or could not start.
        return max(status, 2), replace(counts, failed=["the whole run"])
    return status, counts
