"""The web process: Daphne with an orderly end.

On SIGTERM it accepts no new connection, asks the client of every WebSocket to reconnect (close code
1012), finishes the current requests, and ends. `up` passes on the listening socket (--fd), so that
a successor takes over without a refused connection. Without it, --host and --port are used.
"""

import asyncio
import signal
import socket
import time
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.loader import get_template
from django.urls import get_resolver
from django.utils.module_loading import import_string

from billing.prices import genai
from config.checks import ensure_safe_door
from config.supervise import open_files, process_memory, ready
from config.supervise.listen import ListenError, listen
from streams.server.checks import ensure_durable_redis

# How long the current requests may take to finish after SIGTERM.
DRAIN_S = 5.0
DRAIN_POLL_S = 0.05
SERVICE_RESTART = 1012
# Clients send short commands: names, cursors, counts. A little more than `MAX_COMMAND_BYTES`.
WEBSOCKET_MESSAGE_BYTES = 8_192


class Command(BaseCommand):
    help = "Serve pages, the API and WebSockets, until SIGTERM."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--fd", type=int, help="serve on this listening socket, inherited")

    def handle(self, *, host: str, port: int, fd: int | None, **_options: Any) -> None:
        if not settings.SUPERVISED:  # `up` has checked this.
            ensure_safe_door()
            ensure_durable_redis()
        try:
            listening = listen(host, port) if fd is None else socket.socket(fileno=fd)
        except ListenError as error:
            raise CommandError(str(error)) from error
        open_files.ask_for_more()
        process_memory.return_large_blocks()
        serve(listening)


def serve(listening: socket.socket) -> None:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # Daphne makes its loop when imported.
    from chat.sending import outbox
    from config.websocket.daphne_server import FlowingServer

    outbox.own_thread = True

    server: Any = FlowingServer(
        import_string(settings.ASGI_APPLICATION),
        endpoints=[listening],
        signal_handlers=False,
        ready_callable=lambda: _begin(server, listening),
        websocket_timeout=-1,
        websocket_max_message_size=WEBSOCKET_MESSAGE_BYTES,
        websocket_max_frame_size=WEBSOCKET_MESSAGE_BYTES,
        # Daphne would use the first address of X-Forwarded-For, which a client can forge.
        # accounts/client_address.py reads the header from its end.
        proxy_forwarded_address_header=None,
        server_name="holdfast",
    )
    server.endpoints = []  # Daphne's endpoints cannot describe IPv6 sockets: see _begin.
    server.run()


def _begin(server: Any, listening: socket.socket) -> None:
    """Called by Daphne just before its loop runs."""
    from twisted.internet import reactor

    from config.web import body_limits_daphne as requests
    from config.websocket import protocol as sockets

    sockets.prepare(server.ws_factory)
    requests.prepare(server.http_factory)
    listening.setblocking(False)
    port = reactor.adoptStreamPort(listening.fileno(), listening.family, server.http_factory)
    loop = asyncio.get_event_loop()
    end = _End(server, port, loop)
    loop.add_signal_handler(signal.SIGTERM, end.begin)
    loop.add_signal_handler(signal.SIGINT, end.begin)
    _load_what_pages_need()
    process_memory.freeze_start()
    ready.tell()


def _load_what_pages_need() -> None:
    """Otherwise the first page would load it, and hold everybody's tokens for 0.2 s after a deploy.
    Objects that exist now are also left out of garbage collections."""
    _ = get_resolver().reverse_dict  # imports all views
    get_template("chat/page.html")
    genai.load()


class _End:
    def __init__(self, server: Any, port: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._port = port
        self._loop = loop
        self._stop_at = 0.0

    def begin(self) -> None:
        if self._stop_at:
            return
        self._stop_at = time.monotonic() + DRAIN_S
        self._port.stopListening()
        self._drain()

    def _drain(self) -> None:
        for connection in self._open():
            websocket = getattr(connection, "application_type", "") == "websocket"
            if websocket and connection.state == connection.STATE_OPEN:
                # Daphne's own close refuses the codes that the protocol reserves.
                connection.sendCloseFrame(code=SERVICE_RESTART)
        if self._open() and time.monotonic() < self._stop_at:
            self._loop.call_later(DRAIN_POLL_S, self._drain)
        else:
            self._server.stop()

    def _open(self) -> list[Any]:
        """Open sockets and current requests. Daphne removes finished ones only once a second."""
        connections = self._server.connections.items()
        return [connection for connection, state in connections if "disconnected" not in state]
