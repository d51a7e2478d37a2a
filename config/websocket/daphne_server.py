"""Daphne's server with flow control: `send` waits for a client that reads slowly.

Daphne itself passes everything on to the network at once, however much is buffered there. An
application need not know about flow control, but ours may use it: the scope has the `Flow` of the
socket or of the response.
"""

from typing import Any

from daphne.server import Server
from django.conf import settings

from accounts.client_address import address_group, client_address_of_scope
from config.web.body_limits_daphne import Request
from config.websocket.flow import FLOW, Flow
from config.websocket.protocol import Socket

WAITING = ("websocket.send", "http.response.body")


class FlowingServer(Server):  # type: ignore[misc]
    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if isinstance(protocol, Socket):
            scope[FLOW] = protocol.flow
        elif isinstance(protocol, Request):
            scope[FLOW] = protocol.flow = protocol.channel.begin_response()
            address = address_group(client_address_of_scope(scope))
            protocol.flow.share(f"address {address}", settings.SOCKET_WAITING_BYTES_ADDRESS)
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        flow: Flow | None = getattr(protocol, "flow", None)
        if flow is not None and message["type"] in WAITING:
            await flow.room()
        await super().handle_reply(protocol, message)
