"""How many files and sockets one process may have open at once.

Many systems give a process 1,024 at first and allow far more to one that asks (`ulimit -Sn`,
`ulimit -Hn`). A web process needs one for each WebSocket, a worker one for each call of a model;
who comes when none is left is turned away.
"""

import resource

WANTED = 65_536
FEW = 4_096  # Below this, `doctor` warns.


def allowed() -> int:
    """How many a process of ours may ask for, at most WANTED."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)


def ask_for_more() -> None:
    """Raises the limit of this process to what is allowed. One that is higher stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < allowed():
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed(), hard))
