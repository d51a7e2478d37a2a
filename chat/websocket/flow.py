"""What a socket knows of how much its client has yet to read.

The server that carries the socket tells it (config/websocket/flow.py). A socket without a network,
such as one that stands behind a request (chat/websocket/polling.py), has a reader that takes all at
once.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Flow(Protocol):
    @property
    def is_full(self) -> bool:
        """Whether so much waits that whoever would send had better wait for `room`."""

    async def room(self) -> None:
        """Returns when little waits, or nobody is there any more."""

    def share(self, owner: str, most_bytes: int) -> None:
        """Bound what waits in all sockets of `owner` together; 0 is no bound."""

    def hold(self, count: int) -> AbstractContextManager[None]:
        """Count so many bytes, which are kept for the client, as waiting."""


class FreeFlow:
    """The flow of a socket whose messages are taken at once."""

    is_full = False

    async def room(self) -> None:
        return

    def share(self, owner: str, most_bytes: int) -> None:
        return

    def hold(self, count: int) -> AbstractContextManager[None]:
        return nullcontext()


def flow_of(scope: Mapping[str, Any]) -> Flow:
    found: Flow = scope.get("holdfast.flow") or FreeFlow()
    return found
