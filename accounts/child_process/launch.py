"""Limits this process, then runs a script in it: `python -I launch.py LIMITS SCRIPT ARGUMENT...`.

accounts/child_process/run.py starts it. The limits hold before the script and its libraries are
loaded. This file imports nothing of Holdfast.
"""

import ctypes
import json
import os
import resource
import runpy
import signal
import sys
from typing import Any

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def limit(limits: dict[str, Any]) -> None:
    """Apply the fields of accounts/child_process/run.py: Limits."""
    for kind, most in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    signal.alarm(limits["wall_s"])  # Also ends this process when its parent is gone.
    os.nice(10)


def leave_the_network() -> None:
    """Move to an empty network where the system allows it: on Linux, and seldom in a container.

    Root needs no user namespace for it, and would lose access to files of others in one.
    """
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is not None:
        unshare(CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET)


if __name__ == "__main__":
    limit(json.loads(sys.argv[1]))
    leave_the_network()
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
