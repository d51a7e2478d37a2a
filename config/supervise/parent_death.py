"""Runs a program that ends when its parent does: `parent_death.py PARENT SIGNAL PROGRAM
ARGUMENTS...`

A program of its own rather than a `preexec_fn`, which is not safe beside threads. On Linux the
kernel sends the signal. Elsewhere (HOLDFAST_LIFELINE is the number of a descriptor) a small process
beside the program holds one end of a pipe whose other end the supervisor alone has: when that is
gone, it ends the program. SIGKILL, since a program that is stopped or hangs would not notice
another one; what was acknowledged is on disk.

A supervisor outlives the release it is of: deploys replace web and workers below it, and it starts
them by the file that is here then. So the arguments stay as they are, whatever else is needed.
"""

import contextlib
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
LOOK_EVERY_S = 1.0


def main() -> None:
    parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    lifeline = int(os.environ.pop("HOLDFAST_LIFELINE", "-1"))
    if lifeline >= 0:
        me = os.getpid()
        if os.fork() == 0:
            _watch(me, lifeline)
        os.close(lifeline)
    elif sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # It died before anybody watched.
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606  The supervisor's own command, no shell.


def _watch(program: int, lifeline: int) -> None:
    """Ends `program`, its parent, when the lifeline is cut; goes when the program has gone."""
    last = os.sysconf("SC_OPEN_MAX")
    os.closerange(0, lifeline)  # Also the lock of the data folder and the pipe of the log.
    os.closerange(lifeline + 1, min(last, 65_536) if last > 0 else 65_536)
    while os.getppid() == program:
        cut, _, _ = select.select([lifeline], [], [], LOOK_EVERY_S)
        if cut:
            with contextlib.suppress(ProcessLookupError):
                # Still our parent, so this number is still its.
                if os.getppid() == program:
                    os.kill(program, signal.SIGKILL)
            break
    os._exit(0)


if __name__ == "__main__":
    main()
