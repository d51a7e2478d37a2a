"""Flow control: how many bytes the client of a socket has yet to read.

The WebSocket server provides it (config/websocket/flow.py). A socket without a network, such as one
inside a polling request (chat/websocket/polling.py), has a reader that takes everything at once.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Flow(Protocol):
    @property
    def is_full(self) -> bool:
        """Whether so many bytes are waiting that a sender should await `room()` first."""

    async def room(self) -> None:
        """Return when few bytes wait, or when the client is gone."""

    def share(self, owner: str, most_bytes: int) -> None:
        """Bound the bytes that wait in all sockets of `owner` together; 0 is no bound."""

    def hold(self, count: int) -> AbstractContextManager[None]:
        """Count `count` bytes that are held for the client as waiting."""


class FreeFlow:
    """The flow of a socket whose messages are read at once."""

    is_full = False

    async def room(self) -> None:
        return

    def share(self, owner: str, most_bytes: int) -> None:
        return

    def hold(self, count: int) -> AbstractContextManager[None]:
        return nullcontext()


def flow_of(scope: Mapping[str, Any]) -> Flow:
    flow: Flow = scope.get("holdfast.flow") or FreeFlow()
    return flow
