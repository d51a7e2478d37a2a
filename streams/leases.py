"""Which leases have lapsed, by the clock of whoever looks.

A lease is a count that its owner raises. One that stands still for as long as a lease lasts, seen
again and again by the same observer, has lapsed. The observer measures with its own monotonic
clock: no machine's wall clock has a say, so none that is set back can keep a dead worker's answer
from being taken over, and none that jumps ahead can take a living worker's away.
"""

from collections.abc import Mapping

# Of a lease, what one look may add to what was seen before. A longer gap says as much of the one
# who looks, or of Redis, as of the owners: busy, or frozen together with everybody else. So after
# such a gap owners have the time of a look or two to renew.
MOST_A_LOOK = 0.5


class LeaseWatch:
    """What one observer has seen. Times are in seconds of its monotonic clock."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._run = b""
        self._looked_at = 0.0
        self._seen: dict[bytes, tuple[bytes, float]] = {}

    def look(
        self, run: bytes, leases: Mapping[bytes, bytes], now: float
    ) -> list[tuple[bytes, bytes]]:
        """Id and count of the leases that have lapsed, those that stood still longest first.

        `run` names this start of Redis. While it was down nobody could renew: the owners get one
        lease to come back.
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
