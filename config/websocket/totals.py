"""The bytes that wait in all sockets of one owner together: a user, an address, the process.

The responses of HTTP connections (config/web/response_channel.py) count as sockets.

When an owner exceeds its bound, the socket with the largest burden (bytes multiplied by the time
without a read) is ended, then the next one, until the rest fits. A socket that reads has a small
burden, even if it holds the most bytes for a moment.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol


class Member(Protocol):
    counted_bytes: int

    @property
    def burden(self) -> tuple[float, int]: ...

    def end_slow(self) -> None: ...


@dataclass(slots=True)
class _Owner:
    most_bytes: int
    waiting_bytes: int = 0
    members: set[Member] = field(default_factory=set)


class Totals:
    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}
        self._owned: defaultdict[Member, set[str]] = defaultdict(set)

    def join(self, member: Member, owner: str, most_bytes: int) -> None:
        """Counts `member` among the sockets of `owner`; 0 means no bound."""
        if not most_bytes or owner in self._owned[member]:
            return
        entry = self._owners.setdefault(owner, _Owner(most_bytes))
        entry.most_bytes = most_bytes
        entry.members.add(member)
        entry.waiting_bytes += member.counted_bytes
        self._owned[member].add(owner)

    def leave(self, member: Member) -> None:
        for owner in self._owned.pop(member, ()):
            entry = self._owners[owner]
            entry.members.discard(member)
            entry.waiting_bytes -= member.counted_bytes
            if not entry.members:
                del self._owners[owner]

    def add(self, member: Member, more_bytes: int) -> None:
        """`member` holds `more_bytes` more than before (or less, if negative). This may end
        sockets, `member` among them."""
        if not more_bytes:
            return
        owners = [self._owners[name] for name in self._owned.get(member, ())]
        for owner in owners:
            owner.waiting_bytes += more_bytes
        for owner in owners:
            while owner.waiting_bytes > owner.most_bytes and owner.members:
                heaviest = max(owner.members, key=lambda socket: socket.burden)
                self.leave(heaviest)
                heaviest.end_slow()


# The WebSockets and HTTP responses of this process.
TOTALS = Totals()
