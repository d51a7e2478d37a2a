"""How much waits in all sockets of one owner together: a person, an address, the process.

The answers of HTTP connections (config/web/response_channel.py) count as sockets.

An owner with more than its bound loses the socket that has kept the most for the longest, and the
next one, until the rest fits. Those that read are left alone: for a moment one of them may hold the
most, when it is just being sent something.
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
        """0 is no bound."""
        if not most_bytes or owner in self._owned[member]:
            return
        found = self._owners.setdefault(owner, _Owner(most_bytes))
        found.most_bytes = most_bytes
        found.members.add(member)
        found.waiting_bytes += member.counted_bytes
        self._owned[member].add(owner)

    def leave(self, member: Member) -> None:
        for owner in self._owned.pop(member, ()):
            found = self._owners[owner]
            found.members.discard(member)
            found.waiting_bytes -= member.counted_bytes
            if not found.members:
                del self._owners[owner]

    def add(self, member: Member, more_bytes: int) -> None:
        """`member` holds so much more than it did, or less. May end sockets, this one too."""
        if not more_bytes:
            return
        owners = [self._owners[name] for name in self._owned.get(member, ())]
        for owner in owners:
            owner.waiting_bytes += more_bytes
        for owner in owners:
            while owner.waiting_bytes > owner.most_bytes and owner.members:
                heaviest = max(owner.members, key=lambda one: one.burden)
                self.leave(heaviest)
                heaviest.end_slow()


# Of this process: WebSockets and the answers of HTTP connections.
TOTALS = Totals()
