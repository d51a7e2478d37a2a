"""Detects leases that have lapsed, by the clock of the observer.

A lease is a counter that its owner increments. It has lapsed when one observer has seen the same
count for the duration of a lease. The observer measures with its own monotonic clock, so wall
clocks do not matter: a clock that is set back cannot prevent a takeover from a dead worker, and a
clock that jumps ahead cannot cause a takeover from a living one.
"""

from collections.abc import Mapping

# The share of a lease that one look may add to the observed time. After a longer gap the observer
# or Redis may itself have been busy or frozen, like the owners. The limit gives the owners the time
# of a look or two to renew.
MOST_A_LOOK = 0.5


class LeaseWatch:
    """The observations of one observer. Times are in seconds of its monotonic clock."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._run = b""
        self._looked_at = 0.0
        self._seen: dict[bytes, tuple[bytes, float]] = {}

    def look(
        self, run: bytes, leases: Mapping[bytes, bytes], now: float
    ) -> list[tuple[bytes, bytes]]:
        """The (id, count) of each lapsed lease, the longest unchanged first.

        `run` identifies this start of Redis. Nobody could renew while it was down, so after a
        restart the owners get one more lease.
        """
        if run != self._run:
            self._seen.clear()
        passed_s = min(now - self._looked_at, self._lease_s * MOST_A_LOOK)
        self._run, self._looked_at = run, now
        seen = self._seen
        self._seen = {
            job: (count, seen[job][1] + passed_s if seen.get(job, ("",))[0] == count else 0.0)
            for job, count in leases.items()
        }
        lapsed = [
            (still_s, job, count)
            for job, (count, still_s) in self._seen.items()
            if still_s >= self._lease_s
        ]
        return [(job, count) for _, job, count in sorted(lapsed, reverse=True)]
