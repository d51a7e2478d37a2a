"""Runs a program that ends with its parent: `parent_death.py PARENT SIGNAL PROGRAM ARGUMENTS...`

This is a script because a `preexec_fn` is not safe beside threads. On Linux the kernel sends the
signal. Elsewhere (HOLDFAST_LIFELINE is a descriptor) a small process beside the program holds one
end of a pipe whose other end only the supervisor has, and kills the program when that end closes.
The signal is SIGKILL, because a stopped or hanging program would not notice another one;
acknowledged data is on disk.

A supervisor outlives its release: deploys replace web and workers below it, and it starts them with
the version of this file that is there at the time. So the arguments must not change.
"""

import contextlib
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
CHECK_EVERY_S = 1.0


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
    if os.getppid() != parent:  # The parent died before the watch began.
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606  The supervisor's own command, no shell.


def _watch(program: int, lifeline: int) -> None:
    """Kills `program`, its parent, when the lifeline closes. Ends when the program has ended."""
    last = os.sysconf("SC_OPEN_MAX")
    os.closerange(0, lifeline)  # Also the data folder's lock and the log's pipe.
    os.closerange(lifeline + 1, min(last, 65_536) if last > 0 else 65_536)
    while os.getppid() == program:
        cut, _, _ = select.select([lifeline], [], [], CHECK_EVERY_S)
        if cut:
            with contextlib.suppress(ProcessLookupError):
                # `program` is still the parent, so its id has not been reused.
                if os.getppid() == program:
                    os.kill(program, signal.SIGKILL)
            break
    os._exit(0)


if __name__ == "__main__":
    main()
