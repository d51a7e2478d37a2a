"""Daphne's server, in which whoever sends over a WebSocket waits for a client that reads slowly.

Daphne hands all that an application sends to the network at once, whatever waits there. Servers
with flow control let `send` wait, so an application needs to know nothing of it; ours may (it finds
the socket's `Flow` in its scope).
"""

from typing import Any

from daphne.server import Server

from config.socket_flow import FLOW
from config.sockets import Socket


class FlowingServer(Server):  # type: ignore[misc]
    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if isinstance(protocol, Socket):
            scope[FLOW] = protocol.flow
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        if isinstance(protocol, Socket) and message["type"] == "websocket.send":
            await protocol.flow.room()
        await super().handle_reply(protocol, message)
