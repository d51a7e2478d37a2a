"""Installs npm packages for the tests, from a lock file with the hash of each."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.node import NODE

CACHE = Path(__file__).parent.parent / ".test"  # ignored by Git
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_S = 120
# With its defaults npm retries for minutes if the registry does not respond, or if its certificate
# is not trusted.
OPTIONS = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",  # ms, as below
    "--fetch-retry-maxtimeout=2000",
    "--fetch-timeout=10000",
]


class NotInstalledError(Exception):
    """One line: why npm could not fetch the packages."""


def installed(folder: Path) -> Path:
    """Returns `folder`'s `node_modules`; runs `npm ci` first unless they match the lock file.

    Raises NotInstalledError.
    """
    modules = folder / "node_modules"
    stamp = modules / ".installed-from"
    lock_hash = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "npm.lock").open("w") as held:  # Several processes may need it at once.
        fcntl.flock(held, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != lock_hash:
            _install(folder, modules)
            stamp.write_text(lock_hash)
    return modules


def _install(folder: Path, modules: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, place)
        # Trusts the machine's certificates, such as that of a company's proxy.
        command = [str(NODE), "--use-system-ca", str(NPM), "ci", "--prefix", place, *OPTIONS]
        try:
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=INSTALL_S
            )
        except subprocess.TimeoutExpired:
            raise NotInstalledError("npm did not fetch the packages in time") from None
        if done.returncode:
            raise NotInstalledError(f"npm could not fetch the packages: {_reason(done.stderr)}")
        shutil.rmtree(modules, ignore_errors=True)
        Path(place, "node_modules").rename(modules)


def _reason(output: str) -> str:
    """Returns the first sentence of npm's error, which follows its error codes."""
    lines = output.splitlines()
    errors = [line.removeprefix("npm error ") for line in lines if line.startswith("npm error ")]
    sentences = [line for line in errors if not line.startswith(("code ", "errno ", "syscall "))]
    return (sentences or errors or ["no reason given"])[0]
