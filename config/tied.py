"""Runs a program that ends when its parent does: `tied.py PARENT SIGNAL PROGRAM ARGUMENTS...`

A program of its own rather than a `preexec_fn`, which is not safe beside threads. Only Linux has
the call; elsewhere the next `up` ends what a killed one left behind.
"""

import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, signal, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
        if os.getppid() != parent:  # It died before the kernel was told.
            sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606  The supervisor's own command, no shell.


if __name__ == "__main__":
    main()
