"""The data folder: who uses it, its format, and what a killed `up` may have left running."""

import contextlib
import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import psutil

# Raised when an older Holdfast could no longer read what this one writes.
FORMAT = 1
# A process recorded as started at this time, give or take, is that process and not a later one
# that was given the same number.
SAME_PROCESS_S = 2.0
LEFTOVER_STOP_S = 10.0


class DataFolderError(Exception):
    """One line: what is wrong with the folder and what to do."""


def claim(folder: Path) -> int:
    """Makes this process the one user of the folder; returns the descriptor that holds the lock.

    The lock lasts as long as the descriptor, also through an `exec` when it is inheritable.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise _unusable(folder, error) from error
        raise DataFolderError(_in_use(folder)) from error
    _check_format(folder)
    return lock


def _unusable(folder: Path, error: OSError) -> DataFolderError:
    return DataFolderError(
        f"The data folder {folder} cannot be used: {error.strerror}. "
        "Give this user the right to write there, or choose another folder with --data."
    )


def _in_use(folder: Path) -> str:
    run = read_run(folder)
    who = f" (process {run['pid']}, {run['url']})" if run else ""
    return (
        f"Holdfast is already running on {folder}{who}. "
        "Stop it first, or choose another folder with --data."
    )


def _check_format(folder: Path) -> None:
    path = folder / "format"
    try:
        found = int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        path.write_text(f"{FORMAT}\n", encoding="ascii")
        return
    except (OSError, ValueError) as error:
        raise DataFolderError(
            f"{path} cannot be read ({error}). Restore the folder from a backup, "
            "or choose another one with --data."
        ) from error
    if found > FORMAT:
        raise DataFolderError(
            f"The data folder {folder} was written by a newer Holdfast (format {found}; this one "
            f"knows {FORMAT}). Use that version, or choose another folder with --data."
        )


def run_path(folder: Path) -> Path:
    """What runs now: {"pid", "url", "children": {name: [pid, started (s since 1970)]}}."""
    return folder / "run.json"


def read_run(folder: Path) -> dict[str, Any]:
    """Empty when nothing was recorded; the processes named in it may be long gone."""
    try:
        run: dict[str, Any] = json.loads(run_path(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return run


def running(folder: Path) -> dict[str, psutil.Process]:
    """The recorded children that are still alive, by name."""
    alive = {}
    for name, (pid, started) in read_run(folder).get("children", {}).items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if abs(process.create_time() - started) < SAME_PROCESS_S and process.is_running():
                alive[name] = process
    return alive


def stop_leftovers(folder: Path) -> list[str]:
    """Ends what a killed `up` left where the kernel does not do it; call it under the lock."""
    left = running(folder)
    for process in left.values():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(list(left.values()), timeout=LEFTOVER_STOP_S)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=LEFTOVER_STOP_S)
    run_path(folder).unlink(missing_ok=True)
    return list(left)
