"""How many TCP connections one address may have open to a web process.

Each takes a file descriptor whether it says anything or not: somebody who opens as many as the
process may have locks everybody else out. Connections past the limit are closed before a byte of
them is read. Proxies that are trusted have as many as they like, since they bring everybody; they
have limits of their own. The limit is never more than a quarter of what the process may open.

Counted from accept to close, WebSockets included. Not by Twisted's `LimitConnectionsByPeer`: its
wrapper would stand between each WebSocket and its transport.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.conf import settings

from accounts.client_address import address_group, is_proxy
from config.supervise import open_files


class Connections:
    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def limited(self, build: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The same `buildProtocol`, which gives None (and so has Twisted close the connection) for
        an address that has too many."""

        def build_limited(address: Any) -> Any:
            host = getattr(address, "host", "")
            if not host or is_proxy(host):
                return build(address)
            group = address_group(host)
            if self._open[group] >= limit() > 0:
                return None
            protocol = build(address)
            self._count(protocol, group)
            return protocol

        return build_limited

    def _count(self, protocol: Any, group: str) -> None:
        make_connection = protocol.makeConnection

        def counted(transport: Any) -> None:
            del protocol.makeConnection
            self._open[group] += 1
            connection_lost = transport.connectionLost

            def forget(reason: Any) -> None:
                # The transport is counted, not its protocol: a WebSocket replaces the protocol.
                del transport.connectionLost  # It would hold itself, and what it buffers.
                self._open[group] -= 1
                if self._open[group] <= 0:
                    del self._open[group]
                connection_lost(reason)

            transport.connectionLost = forget
            make_connection(transport)

        protocol.makeConnection = counted


def limit() -> int:
    """For one address; 0 is none."""
    wanted: int = settings.CONNECTIONS_AT_ONCE_ADDRESS
    return min(wanted, max(1, open_files.allowed() // 4))
