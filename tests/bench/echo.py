"""The WebSocket echo of the latency floor: Daphne and Channels alone, listening on `--fd`."""

import argparse
import asyncio
import signal
import socket
from typing import Any

import uvloop


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    listening = socket.socket(fileno=parser.parse_args().fd)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # Daphne makes its loop on import.
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from daphne.server import Server
    from django.conf import settings
    from django.urls import path

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.send(text_data=text_data)

    def begin() -> None:
        from twisted.internet import reactor

        listening.setblocking(False)
        reactor.adoptStreamPort(listening.fileno(), listening.family, server.http_factory)
        asyncio.get_event_loop().add_signal_handler(signal.SIGTERM, server.stop)

    settings.configure()
    application = ProtocolTypeRouter({"websocket": URLRouter([path("echo", Echo.as_asgi())])})
    server: Any = Server(
        application, endpoints=[listening], signal_handlers=False, ready_callable=begin
    )
    server.endpoints = []
    server.run()


if __name__ == "__main__":
    main()
