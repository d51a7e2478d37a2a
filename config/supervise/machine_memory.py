"""The memory of this machine or container. Uses only the standard library."""

import os
from pathlib import Path

# The share of all memory that Redis may take. The rest is for web, workers, the database, and the
# pages that are copied while Redis rewrites its file.
REDIS_SHARE = 0.6
# The limit of a container or service: in version 2 of control groups, then in version 1.
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def redis_max_bytes(setting_mb: int, groups: Path = CONTROL_GROUPS) -> int:
    """`maxmemory` of the embedded Redis, in bytes: the operator's setting, else a share of the
    machine's memory."""
    if setting_mb:
        return setting_mb * 1_000_000
    return int(REDIS_SHARE * memory_bytes(groups))


def memory_bytes(groups: Path = CONTROL_GROUPS) -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(groups)])


def _limits(groups: Path) -> list[int]:
    """The limits that are set, in bytes. Without one, version 2 has "max", version 1 a huge
    number."""
    limits = []
    for name in _LIMITS:
        try:
            text = (groups / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) > 0:
            limits.append(int(text))
    return limits
