"""The limit on the TCP connections that one address may have open to a web process.

Every connection takes a file descriptor, even an idle one: a client that opens as many as the
process may have locks everybody else out. A connection past the limit is closed before a byte of it
is read. Trusted proxies have no limit here, because they carry everybody's requests and have limits
of their own. The limit is at most a quarter of the files that the process may open.

A connection counts from accept to close, also as a WebSocket. Twisted's `LimitConnectionsByPeer`
does not fit: its wrapper would stand between each WebSocket and its transport.
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
        """The same `buildProtocol`, but for an address with too many connections it returns None,
        on which Twisted closes the new one."""

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
                del transport.connectionLost  # Else the transport and its buffer form a cycle.
                self._open[group] -= 1
                if self._open[group] <= 0:
                    del self._open[group]
                connection_lost(reason)

            transport.connectionLost = forget
            make_connection(transport)

        protocol.makeConnection = counted


def limit() -> int:
    """The number of connections for one address; 0 means no limit."""
    wanted: int = settings.CONNECTIONS_AT_ONCE_ADDRESS
    return min(wanted, max(1, open_files.allowed() // 4))
