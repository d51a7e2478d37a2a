"""`manage.py test [--lint] [arguments of pytest]`: the tests, with everything they need.

1. With --lint: the linters, the type checker and Django's own checks, before the tests.
2. A browser is found or installed, unless the arguments name single tests (those look for it when
   they start).
3. pytest runs twice: all tests on SQLite, then those that touch the database on a real PostgreSQL
   (tests/settings.py starts it). The last line sums both up.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NO_TESTS_RAN = 5

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
    lint = "--lint" in arguments
    arguments = [argument for argument in arguments if argument != "--lint"]
    if lint and not run_lint():
        return 1
    if all(argument.startswith("-") for argument in arguments):
        try:
            find_browser()
        except BrowserError as error:
            say(f"holdfast: {error}")
            return 1
    return run_tests(arguments)


def run_lint() -> bool:
    manage = [sys.executable, "manage.py"]
    warnings = ["--fail-level", "WARNING"]
    paths = ["manage.py", "config", "streams", "accounts", "chat"]
    steps = {
        "ruff check": [sys.executable, "-m", "ruff", "check", "."],
        "ruff format --check": [sys.executable, "-m", "ruff", "format", "--check", "."],
        "mypy --strict": [sys.executable, "-m", "mypy", *paths],
        "makemigrations --check": [*manage, "makemigrations", "--check", "--dry-run"],
        "check": [*manage, "check", *warnings],
        # The other deployment checks ask a running Redis; `up` and `doctor` do that.
        "check --deploy": [*manage, "check", "--deploy", *warnings, "--tag", "security"],
    }
    with tempfile.TemporaryDirectory() as data:
        environment = os.environ | DEPLOYED | {"HOLDFAST_DATA": data}
        # No early end: whoever reads the output wants to know everything that is wrong.
        passed = [_step(name, step, environment) for name, step in steps.items()]
        return all(passed)


def _step(name: str, command: list[str], environment: dict[str, str]) -> bool:
    done = subprocess.run(  # noqa: S603  Our own linters.
        command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    passed = done.returncode == 0
    say(f"{name}: {'ok' if passed else 'FAILED'}")
    if not passed:
        say(done.stdout.decode(errors="replace"))
    return passed


def find_browser() -> str:
    """The path of a Chromium; installs one when there is none."""
    if named := os.environ.get("HOLDFAST_TEST_BROWSER"):
        return named
    if found := _on_path() or _of_playwright():
        return found
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


def run_tests(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        passes = [
            _pytest(database, arguments, Path(folder) / database)
            for database in ("sqlite", "postgresql")
        ]
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for _, counts in passes:
        for name, count in counts.items():
            totals[name] += count
    statuses = {status for status, _ in passes} - {0}
    if statuses == {NO_TESTS_RAN} and totals["passed"]:
        statuses = set()  # No test of this selection touches the database.
    line = f"{totals['passed']} passed, {totals['failed']} failed"
    say(line + (f", {totals['skipped']} skipped" if totals["skipped"] else ""))
    return max(statuses, default=0)


def _pytest(database: str, arguments: list[str], counts_path: Path) -> tuple[int, dict[str, int]]:
    say(f"Tests on {'SQLite' if database == 'sqlite' else 'PostgreSQL (those of the database)'}")
    environment = os.environ | {
        "HOLDFAST_TEST_DATABASE": database,
        "HOLDFAST_TEST_COUNTS": str(counts_path),
    }
    command = [sys.executable, "-m", "pytest", *arguments]
    status = subprocess.run(command, cwd=BASE_DIR, env=environment).returncode  # noqa: S603
    counts: dict[str, int] = json.loads(counts_path.read_text()) if counts_path.exists() else {}
    if status not in (0, NO_TESTS_RAN) and not counts.get("failed"):
        counts["failed"] = 1  # The pass itself: it broke off, or could not begin.
    return status, counts


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
