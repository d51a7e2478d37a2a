"""The tests, with all they need.

    manage.py test [--lint] [--retry] [--full] [-n N] [arguments of pytest]

1. With --lint: the linters, the type checker and Django's own checks, before the tests.
2. A browser is found or installed, unless the arguments name single tests (those look for it when
   they start).
3. pytest runs twice: all tests on SQLite, then those that touch the database on a real PostgreSQL
   (tests/settings.py starts it). The last line sums both up.
4. Each run has several processes (pytest-xdist), because most tests wait for something: one more
   than there are cores, or HOLDFAST_TEST_PROCESSES, or -n. Single tests run in pytest's own.
5. With --retry (CI): up to FEW failed tests are run once more, alone. The last line counts those
   that passed then, and they are named: the machine was too busy, or the test is not yet right.
6. With --full: also the tests marked `full`, which take too long for the gate, such as the kill run
   with 300 disturbances (tests/crash/test_kill_run.py). Without it they are left out, also when
   they are named.

Whatever the tests leave, processes or files, is gone at the end (config/contained.py).
"""

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from config import contained

BASE_DIR = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TESTS_FAILED, NO_TESTS_RAN = 1, 5
FEW = 12
MOST_PROCESSES = 8
# Short options of pytest that are followed by a value; the first two select tests.
WITH_VALUE = ("-k", "-m", "-p", "-c", "-o", "-W", "-r")

# A deploy as it should be: what `check --deploy` warns of then is ours to mend.
DEPLOYED = {
    "HOLDFAST_URL": "https://chat.example.org",
    "HOLDFAST_ENV_FILE": "",
    "SECRET_KEY": "a-key-for-the-check-alone-" + "0123456789abcdefghijklmnop" * 2,
    "HOLDFAST_TRUST_PROXY": "True",
    "OPENAI_API_KEY": "a-key-for-the-check-alone",
}


class BrowserError(Exception):
    """One line: why there is no browser and what to do."""


def main(arguments: list[str]) -> int:
    """The exit status: 0 when every step and every test passed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--lint", action="store_true")
    parser.add_argument("--retry", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("-n", "--numprocesses", default="")
    ours, arguments = parser.parse_known_args(arguments)
    if ours.lint and not run_lint():
        return 1
    if ours.full:
        os.environ["HOLDFAST_TEST_FULL"] = "1"
    everything = arguments == options(arguments)
    if everything:
        try:
            find_browser()
        except BrowserError as error:
            say(f"holdfast: {error}")
            return 1
    return run_tests(arguments, ours.numprocesses or processes(everything), retry=ours.retry)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def processes(everything: bool) -> str:
    """How many run the tests; 0 is pytest's own alone."""
    if not everything:
        return "0"
    return os.environ.get("HOLDFAST_TEST_PROCESSES") or str(min(cores() + 1, MOST_PROCESSES))


def run_lint() -> bool:
    """All at once: whoever reads the output wants to know everything that is wrong."""
    manage = [sys.executable, "manage.py"]
    warnings = ["--fail-level", "WARNING"]
    paths = ["manage.py", "config", "streams", "accounts", "billing", "chat"]
    steps = {
        "mypy --strict": [sys.executable, "-m", "mypy", *paths],
        "ruff check": [sys.executable, "-m", "ruff", "check", "."],
        "ruff format --check": [sys.executable, "-m", "ruff", "format", "--check", "."],
        "eslint": [sys.executable, "-m", "tests.js.lint", "eslint"],
        "tsc": [sys.executable, "-m", "tests.js.lint", "tsc"],
        "makemigrations --check": [*manage, "makemigrations", "--check", "--dry-run"],
        "check": [*manage, "check", *warnings],
        # The other deployment checks ask a running Redis; `up` and `doctor` do that.
        "check --deploy": [*manage, "check", "--deploy", *warnings, "--tag", "security"],
    }
    with tempfile.TemporaryDirectory() as data, ThreadPoolExecutor(cores() + 1) as at_once:
        environment = os.environ | DEPLOYED | {"HOLDFAST_DATA": data}
        passed = [at_once.submit(_step, *step, environment) for step in steps.items()]
        results = [step.result() for step in passed]
        return all(results)


def _step(name: str, command: list[str], environment: dict[str, str]) -> bool:
    done = subprocess.run(  # noqa: S603  Our own linters.
        command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    passed = done.returncode == 0
    output = "" if passed else "\n" + done.stdout.decode(errors="replace")
    say(f"{name}: {'ok' if passed else 'FAILED'}{output}")
    return passed


def find_browser() -> str:
    """The path of a Chromium; installs one when there is none."""
    if named := os.environ.get("HOLDFAST_TEST_BROWSER"):
        return named
    if found := _on_path() or _of_playwright():
        return found
    with open(__file__, "rb") as one_at_a_time:  # Several processes may look for it.
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        return _on_path() or _of_playwright() or _install_browser()


def _install_browser() -> str:
    if os.getuid() == 0 and shutil.which("apt-get"):
        say("Installing Debian's Chromium for the browser tests.")
        _quietly(["apt-get", "update"])
        _quietly(["apt-get", "install", "-y", "--no-install-recommends", "chromium"])
    else:
        say("Installing Playwright's Chromium for the browser tests.")
        _quietly([sys.executable, "-m", "playwright", "install", "chromium"])
    if found := _on_path() or _of_playwright():
        return found
    raise BrowserError(
        "There is no Chromium and none could be installed. Install one (Debian: apt install "
        "chromium) or name it in HOLDFAST_TEST_BROWSER."
    )


def _on_path() -> str:
    return next((path for name in BROWSERS if (path := shutil.which(name))), "")


def _of_playwright() -> str:
    code = (
        "from playwright.sync_api import sync_playwright as s\n"
        "with s() as p: print(p.chromium.executable_path)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    path = done.stdout.strip()
    return path if os.path.exists(path) else ""


def _quietly(command: list[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(  # noqa: S603  The package manager; whether it worked shows afterwards.
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )


@dataclass
class Counts:
    """Of one run of pytest, or of several. `again` passed on the second try only."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: int = 0
    again: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{self.passed} passed, {len(self.failed)} failed"
        text += f", {self.skipped} skipped" if self.skipped else ""
        return text + (f", {len(self.again)} of them on the second try" if self.again else "")


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
        say(f"passed on the second try only: {name}")
    say(str(total))
    return max(statuses, default=0)


def _again(database: str, arguments: list[str], first: Counts) -> tuple[int, Counts]:
    """Run the failed tests once more, and nothing else."""
    status, second = _pytest(database, [*options(arguments), *first.failed])
    again = [name for name in first.failed if name not in second.failed]
    if status not in (0, TESTS_FAILED):
        return status, first
    counts = Counts(first.passed + len(again), second.failed, first.skipped, again)
    return status, counts


def options(arguments: list[str]) -> list[str]:
    """The arguments without those that select tests."""
    kept = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name = before if before in WITH_VALUE else argument
        if name.startswith("-") and name[:2] not in ("-k", "-m"):
            kept.append(argument)
    return kept


def _pytest(database: str, arguments: list[str]) -> tuple[int, Counts]:
    say(f"Tests on {'SQLite' if database == 'sqlite' else 'PostgreSQL (those of the database)'}")
    with contained.own_folder() as folder:
        counts_path = folder / "counts"
        environment = os.environ | {
            "HOLDFAST_TEST_DATABASE": database,
            "HOLDFAST_TEST_COUNTS": str(counts_path),
            "TMPDIR": str(folder),
        }
        if "-n" in arguments:
            environment["HOLDFAST_TEST_DIRECTS"] = "1"
        command = [sys.executable, "-m", "pytest", f"--basetemp={folder / 't'}", *arguments]
        status = contained.run(command, cwd=BASE_DIR, env=environment)
        counts = Counts(**json.loads(counts_path.read_text())) if counts_path.exists() else Counts()
    if status not in (0, NO_TESTS_RAN) and not counts.failed:
        # The pass itself: it broke off, or could not begin.
        return max(status, 2), replace(counts, failed=["the whole pass"])
    return status, counts


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
