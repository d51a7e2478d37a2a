"""How many files and sockets one process may have open at once.

Many systems limit a process to 1,024 open files at first, and let it raise that limit far
(`ulimit -Sn`, `ulimit -Hn`). A web process needs one file for each WebSocket, a worker one for each
call of a model. When none is left, new connections fail.
"""

import resource

WANTED = 65_536
FEW = 4_096  # Below this, `doctor` warns.


def allowed() -> int:
    """The limit that a process of ours can have, at most WANTED."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)


def ask_for_more() -> None:
    """Raises the limit of this process to `allowed()`. A higher limit is kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < allowed():
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed(), hard))
