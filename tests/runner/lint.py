"""The linters, the type checker and Django's own checks, all at once."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from tests.runner.machine import BASE_DIR, cores, say

# A correct deployment, so any warning of `check --deploy` is a fault in this repository.
DEPLOYED = {
    "HOLDFAST_URL": "https://chat.example.org",
    "HOLDFAST_ENV_FILE": "",
    "SECRET_KEY": "a-key-for-the-check-alone-" + "0123456789abcdefghijklmnop" * 2,
    "HOLDFAST_TRUST_PROXY": "True",
    "OPENAI_API_KEY": "a-key-for-the-check-alone",
}


def run_lint() -> bool:
    """Runs all steps, even if one fails, to report every fault; returns whether all passed."""
    manage = [sys.executable, "manage.py"]
    warnings = ["--fail-level", "WARNING"]
    paths = ["manage.py", "config", "streams", "accounts", "billing", "chat", "tests/runner"]
    steps = {
        "mypy --strict": [sys.executable, "-m", "mypy", *paths],
        "ruff check": [sys.executable, "-m", "ruff", "check", "."],
        "ruff format --check": [sys.executable, "-m", "ruff", "format", "--check", "."],
        "eslint": [sys.executable, "-m", "tests.js.lint", "eslint"],
        "tsc": [sys.executable, "-m", "tests.js.lint", "tsc"],
        "makemigrations --check": [*manage, "makemigrations", "--check", "--dry-run"],
        "check": [*manage, "check", *warnings],
        # The other deployment checks need a running Redis; `up` and `doctor` run them.
        "check --deploy": [*manage, "check", "--deploy", *warnings, "--tag", "security"],
    }
    with tempfile.TemporaryDirectory() as data, ThreadPoolExecutor(cores() + 1) as at_once:
        environment = os.environ | DEPLOYED | {"HOLDFAST_DATA": data}
        passed = [at_once.submit(_step, *step, environment) for step in steps.items()]
        results = [step.result() for step in passed]
        return all(results)


def _step(name: str, command: list[str], environment: dict[str, str]) -> bool:
    done = subprocess.run(
        command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    passed = done.returncode == 0
    output = "" if passed else "\n" + done.stdout.decode(errors="replace")
    say(f"{name}: {'ok' if passed else 'FAILED'}{output}")
    return passed
