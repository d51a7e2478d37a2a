"""npm packages for the tests, from a lock that names each by its content."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.node import NODE

CACHE = Path(__file__).parent.parent / ".test"  # Git does not see it.
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_S = 120
# By itself npm waits minutes for a registry that does not answer, or whose certificate is unknown
# here, and asks each time after a longer pause.
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
    """The packages are not here, and npm could not fetch them; says why in one line."""


def installed(folder: Path) -> Path:
    """`folder`'s `node_modules`, after `npm ci` if the lock has changed or was never installed.

    Raises NotInstalledError.
    """
    modules = folder / "node_modules"
    stamp = modules / ".installed-from"
    lock_hash = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "npm.lock").open("w") as held:  # Several processes may ask.
        fcntl.flock(held, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != lock_hash:
            _install(folder, modules)
            stamp.write_text(lock_hash)
    return modules


def _install(folder: Path, modules: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, place)
        # Trusts what the machine trusts, such as the certificate of a company's proxy.
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
    """The first sentence of npm about it, which comes after its codes."""
    lines = output.splitlines()
    errors = [line.removeprefix("npm error ") for line in lines if line.startswith("npm error ")]
    sentences = [line for line in errors if not line.startswith(("code ", "errno ", "syscall "))]
    return (sentences or errors or ["no reason given"])[0]
