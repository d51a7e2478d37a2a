"""The data folder: who uses it, its format, and what a killed `up` may have left running.

Whoever uses it holds the lock on its file `lock`: `up`, and by the same open file every process
that `up` starts (all inherit it). So the folder is free when the last of them has ended, and
whether a process belongs to the folder is seen by that open file, not by what is written:
`run.json` only names candidates. A copy of the folder has a file, and so a lock, of its own; a
process that later got the same number, or was started for another folder, does not have this one
open.
"""

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

# Raised when an older Holdfast could no longer read what this one writes.
FORMAT = 1
LOCK = "lock"
# What a killed `up` leaves ends by itself (config/supervise/parent_death.py), usually within
# milliseconds.
LEFTOVER_END_S = 5.0
LEFTOVER_STOP_S = 10.0
LOOK_EVERY_S = 0.05
# Processes of an earlier release do not have the lock: one is known by the time it was recorded to
# have begun, give or take this, and by the folder that it was told to use.
SAME_PROCESS_S = 2.0
# A process may have gone after the lock was asked for and before its holder was looked up.
RACE_S = 1.0
# These may be links to another place, which a copy of the folder then shares.
LINKED = ("redis", "db.sqlite3")
LARGEST_PID = 2**31 - 1


class DataFolderError(Exception):
    """One line: what is wrong with the folder and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """What run.json says: {"pid", "url", "children": {name: [pid, started (s since 1970)]},
    "others": [[pid, started]]}. The processes may be long gone, or somebody else's. A release that
    wrote no "others" is an earlier one; `began` has when its processes were started."""

    pid: int = 0
    url: str = ""
    children: dict[str, int] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)
    began: dict[int, float] = field(default_factory=dict)


def claim(folder: Path) -> list[int]:
    """Makes this process the one user of the folder; returns the descriptors that hold the locks:
    its own, then those of places outside that it links to.

    Waits for what a killed `up` has left, and ends it when it does not end by itself. A lock lasts
    until all processes that inherited its descriptor have ended, also through an `exec`.
    """
    locks: list[int] = []
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(_let_go, locks)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            locks.append(_wait_for_lock(folder))
            for path in _links(folder):
                locks.append(_lock_link(path))
            _check_format(folder)
        except OSError as error:
            raise _unusable(folder, error) from error
        on_failure.pop_all()
    return locks


def _let_go(locks: list[int]) -> None:
    for lock in locks:
        os.close(lock)


def _wait_for_lock(folder: Path) -> int:
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    began_at = time.monotonic()
    while not _lock(lock):
        run = read_run(folder)
        waited_s = time.monotonic() - began_at
        left = leftovers(folder)
        if _uses(run.pid, folder) or (not left and waited_s > RACE_S):
            os.close(lock)
            raise DataFolderError(_in_use(folder, run if _uses(run.pid, folder) else Run()))
        if left and waited_s > LEFTOVER_END_S:
            stop_leftovers(folder)
            if still := leftovers(folder):
                os.close(lock)
                raise DataFolderError(_does_not_end(folder, still))
        time.sleep(LOOK_EVERY_S)
    return lock


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _links(folder: Path) -> Iterator[Path]:
    for name in LINKED:
        path = folder / name
        if path.is_symlink() and path.exists():
            yield path


def _lock_link(path: Path) -> int:
    place = path.resolve()
    lock = place / LOCK if place.is_dir() else place.with_name(f"{place.name}.{LOCK}")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(descriptor):
        os.close(descriptor)
        raise DataFolderError(
            f"{path} is a link to {place}, which another Holdfast uses. "
            "Stop that one first, or give this data folder its own copy in place of the link."
        )
    return descriptor


def _unusable(folder: Path, error: OSError) -> DataFolderError:
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "Make room there" if is_full else "Give this user the right to write there"
    return DataFolderError(
        f"The data folder {folder} cannot be used: {error.strerror}. "
        f"{remedy}, or choose another folder with --data."
    )


def _in_use(folder: Path, run: Run) -> str:
    who = f" (process {run.pid}, {run.url})" if run.pid else ""
    return (
        f"Holdfast is already running on {folder}{who}. "
        "Stop it first, or choose another folder with --data."
    )


def _does_not_end(folder: Path, left: dict[str, psutil.Process]) -> str:
    who = ", ".join(f"{name} (process {process.pid})" for name, process in left.items())
    return (
        f"The data folder {folder} is still used by {who}, left by an earlier start, and killing "
        "does not end it. See what it waits for, such as a disk, or restart the machine."
    )


def _check_format(folder: Path) -> None:
    path = folder / "format"
    text = path.read_text(encoding="ascii", errors="replace") if path.exists() else ""
    if not text.strip():  # New; or the disk was full when it was.
        fresh = folder / "format.new"
        fresh.write_text(f"{FORMAT}\n", encoding="ascii")
        fresh.replace(path)
        return
    try:
        found = int(text)
    except ValueError as error:
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
    return folder / "run.json"


def read_run(folder: Path) -> Run:
    """Without what cannot be: the file may be cut off, of another machine, or anybody's."""
    try:
        said = json.loads(run_path(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Run()
    if not isinstance(said, dict):
        return Run()
    children, others = said.get("children"), said.get("others")
    named = {
        str(name): pid
        for name, child in (children if isinstance(children, dict) else {}).items()
        if (pid := _pid(child))
    }
    told = children.values() if isinstance(children, dict) and "others" not in said else ()
    return Run(
        pid=_pid([said.get("pid")]),
        url=str(said.get("url") or ""),
        children=named,
        others=[
            pid for other in (others if isinstance(others, list) else []) if (pid := _pid(other))
        ],
        began={
            pid: child[1]
            for child in told
            if (pid := _pid(child)) and len(child) > 1 and isinstance(child[1], int | float)
        },
    )


def _pid(child: Any) -> int:
    """The number in [pid, started]; 0 for anything else."""
    if not isinstance(child, list) or not child or type(child[0]) is not int:
        return 0
    return child[0] if 1 < child[0] <= LARGEST_PID else 0


def running(folder: Path) -> dict[str, psutil.Process]:
    """The recorded children that are alive and belong to this folder, by name."""
    run = read_run(folder)
    found = {name: _user(pid, folder, run) for name, pid in run.children.items()}
    return {name: process for name, process in found.items() if process is not None}


def leftovers(folder: Path) -> dict[str, psutil.Process]:
    """What belongs to this folder of all that a start has recorded, and what that started."""
    run = read_run(folder)
    names = {pid: f"process {pid}" for pid in run.others}
    names |= {pid: name for name, pid in run.children.items()}
    names.pop(os.getpid(), None)
    names.pop(run.pid, None)
    found = {}
    for pid, session in _sessions():
        # A child leads a session of its own, so what it has started is known by that.
        name = names.get(pid) or names.get(session)
        if name and (process := _user(pid, folder, run)):
            found[name if pid in names else f"{name} (its process {pid})"] = process
    return found


def _sessions() -> Iterator[tuple[int, int]]:
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            yield pid, os.getsid(pid)


def _uses(pid: int, folder: Path) -> bool:
    return bool(pid) and pid != os.getpid() and _user(pid, folder) is not None


def _user(pid: int, folder: Path, run: Run | None = None) -> psutil.Process | None:
    """The process of this number, if it has the lock of this very folder open, or was recorded by
    an earlier release (`run`)."""
    with contextlib.suppress(psutil.Error, OSError, ValueError, KeyError):
        lock = (folder / LOCK).stat()
        process = psutil.Process(pid)
        for file in process.open_files():
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(file.path), lock):
                    return process
        began = run.began.get(pid) if run else None
        if began is not None and abs(process.create_time() - began) < SAME_PROCESS_S:
            return process if os.path.samefile(process.environ()["HOLDFAST_DATA"], folder) else None
    return None


def stop_leftovers(folder: Path) -> list[str]:
    """Ends what a killed `up` left and nothing else ends; returns their names."""
    left = leftovers(folder)
    for process in left.values():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(list(left.values()), timeout=LEFTOVER_STOP_S)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=LEFTOVER_STOP_S)
    return list(left)


def forget_run(folder: Path) -> None:
    """Under the lock: whatever run.json says is of the past, or of another folder."""
    with contextlib.suppress(OSError):
        run_path(folder).unlink(missing_ok=True)
