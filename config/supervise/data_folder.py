"""The data folder: its lock, its format, and the processes that a killed `up` has left running.

`up` holds the lock on the file `lock` in the folder, and every process that `up` starts inherits
the open file. The folder is therefore free when the last of them has ended. A process belongs to
the folder if it has that file open; `run.json` only names candidates. A copy of the folder has a
lock file of its own. A process that was given the same id later, or was started for another folder,
does not have this file open.
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

# Increased when an older Holdfast could no longer read the files that this one writes.
FORMAT = 1
LOCK = "lock"
# The children of a killed `up` end by themselves (config/supervise/parent_death.py), usually within
# milliseconds.
LEFTOVER_END_S = 5.0
LEFTOVER_STOP_S = 10.0
POLL_S = 0.05
# Processes of an earlier release do not have the lock open. They are recognized by their recorded
# start time, within this tolerance, and by HOLDFAST_DATA in their environment.
SAME_PROCESS_S = 2.0
# The holder may end between the attempt to lock and the search for it.
RACE_S = 1.0
# These may be symbolic links. Their targets are shared with copies of the folder.
LINKED = ("redis", "db.sqlite3")
LARGEST_PID = 2**31 - 1


class DataFolderError(Exception):
    """One line: what is wrong with the folder and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """The content of run.json: {"pid", "url", "children": {name: [pid, started (s since 1970)]},
    "others": [[pid, started]]}. The processes may have ended, and their ids may have been reused.
    Earlier releases wrote no "others"; for them `began` has the start times by pid."""

    pid: int = 0
    url: str = ""
    children: dict[str, int] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)
    began: dict[int, float] = field(default_factory=dict)


def claim(folder: Path) -> list[int]:
    """Locks the folder for this process; returns the descriptors of the locks: that of the folder,
    then those of the targets of its links.

    Waits for the processes that a killed `up` has left, and ends those that do not end by
    themselves. A lock lasts until all processes that inherited its descriptor have ended, also
    through an `exec`. Raises DataFolderError.
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
        time.sleep(POLL_S)
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
    if not text.strip():  # The folder is new, or the disk was full when it was made.
        fresh = folder / "format.new"
        fresh.write_text(f"{FORMAT}\n", encoding="ascii")
        fresh.replace(path)
        return
    try:
        written = int(text)
    except ValueError as error:
        raise DataFolderError(
            f"{path} cannot be read ({error}). Restore the folder from a backup, "
            "or choose another one with --data."
        ) from error
    if written > FORMAT:
        raise DataFolderError(
            f"The data folder {folder} was written by a newer Holdfast (format {written}; this one "
            f"knows {FORMAT}). Use that version, or choose another folder with --data."
        )


def run_path(folder: Path) -> Path:
    return folder / "run.json"


def read_run(folder: Path) -> Run:
    """Reads run.json; ignores malformed parts: it may be truncated, or from another machine."""
    try:
        data = json.loads(run_path(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Run()
    if not isinstance(data, dict):
        return Run()
    children, others = data.get("children"), data.get("others")
    named = {
        str(name): pid
        for name, child in (children if isinstance(children, dict) else {}).items()
        if (pid := _pid(child))
    }
    dated = children.values() if isinstance(children, dict) and "others" not in data else ()
    return Run(
        pid=_pid([data.get("pid")]),
        url=str(data.get("url") or ""),
        children=named,
        others=[
            pid for other in (others if isinstance(others, list) else []) if (pid := _pid(other))
        ],
        began={
            pid: child[1]
            for child in dated
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
    users = {name: _user(pid, folder, run) for name, pid in run.children.items()}
    return {name: process for name, process in users.items() if process is not None}


def leftovers(folder: Path) -> dict[str, psutil.Process]:
    """The recorded processes that belong to this folder, and their children, by name."""
    run = read_run(folder)
    names = {pid: f"process {pid}" for pid in run.others}
    names |= {pid: name for name, pid in run.children.items()}
    names.pop(os.getpid(), None)
    names.pop(run.pid, None)
    processes = {}
    for pid, session in _sessions():
        # Each recorded process leads a session, by which its children are recognized.
        name = names.get(pid) or names.get(session)
        if name and (process := _user(pid, folder, run)):
            processes[name if pid in names else f"{name} (its process {pid})"] = process
    return processes


def _sessions() -> Iterator[tuple[int, int]]:
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            yield pid, os.getsid(pid)


def _uses(pid: int, folder: Path) -> bool:
    return bool(pid) and pid != os.getpid() and _user(pid, folder) is not None


def _user(pid: int, folder: Path, run: Run | None = None) -> psutil.Process | None:
    """The process with this id, if it has the lock of this folder open, or if an earlier release
    recorded it (`run`)."""
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
    """Ends the processes that a killed `up` has left; returns their names."""
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
    """Deletes run.json. Call it under the lock, when its content is certainly outdated."""
    with contextlib.suppress(OSError):
        run_path(folder).unlink(missing_ok=True)
