"""A request is never sent twice, and a stale connection is detected before it is written to."""

import asyncio
import os
import socket
import time

import httpx2
import pytest

from chat.llm.http import connection as model_connection
from chat.llm.http import idle_connections
from chat.llm.http.transport import StreamTransport
from tests.chat.llm.marking_server import ask, lines, serving, settle, talking


@pytest.mark.parametrize("mode", ["no answer", "reset", "cut off"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_request_is_never_sent_twice(run, mode, method):
    """The server may have executed it, even if there was no response."""

    async def main():
        async with talking() as (server, _, client):
            await ask(client, server.url("first"))
            with pytest.raises(httpx2.TransportError):
                await client.request(method, server.url("a", mode), content=b"{}")
            assert server.connections == 1, "the existing connection was used"
            await asyncio.sleep(0.05)
            assert server.requests["a"] == 1

    run(main())


INPUTS = {
    "an end": lambda writer: writer.close(),
    "a reset": lambda writer: writer.transport.abort(),
    "bytes": lambda writer: writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n"),
}


@pytest.mark.parametrize("input_kind", INPUTS)
def test_input_on_an_idle_connection_closes_it(run, input_kind):
    async def main():
        async with talking() as (server, transport, client):
            await ask(client, server.url("a"))
            [writer] = server.open
            INPUTS[input_kind](writer)
            await settle(lambda: not len(transport._idle))
            assert await ask(client, server.url("b")) == lines(b"b")
            assert server.connections == 2 and server.requests["b"] == 1

    run(main())


@pytest.mark.parametrize("input_kind", ["FIN", "bytes"])
def test_unread_input_is_detected_before_a_request_is_sent(run, input_kind):
    """The event loop is blocked from before the input until the next request."""

    async def main():
        async with talking() as (server, transport, client):
            await ask(client, server.url("a"))
            [writer] = server.open
            number = writer.get_extra_info("socket").fileno()
            [idle] = transport._idle._idle.values()
            ours = next(iter(idle))._transport
            if input_kind == "FIN":
                with socket.socket(fileno=os.dup(number)) as same:
                    same.shutdown(socket.SHUT_WR)
            else:
                os.write(number, b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            while not model_connection._has_input(ours):
                time.sleep(0.001)
            assert await ask(client, server.url("b")) == lines(b"b")
            assert server.connections == 2 and server.requests["b"] == 1

    run(main())


def test_idle_connections_expire(run, monkeypatch):
    monkeypatch.setattr(idle_connections, "MAX_IDLE_S", 0.05)

    async def main():
        async with talking() as (server, transport, client):
            await asyncio.gather(*(ask(client, server.url(f"m{n}", "in parts")) for n in range(5)))
            await settle(lambda: not server.open)
            assert len(transport._idle) == 0

    run(main())


def test_a_connection_released_to_a_closed_transport_is_closed(run):
    async def main():
        async with talking() as (server, transport, client):
            request = client.build_request("POST", server.url("a", "in parts"), content=b"{}")
            answer = await client.send(request, stream=True)
            await transport.aclose()
            assert await answer.aread() == lines(b"a")
            await settle(lambda: not server.open)

    run(main())


def test_a_response_before_the_request_is_written_closes_the_connection(run):
    """The server refuses while a long prompt is still being written."""
    gone = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Long\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await gone.wait()

    async def main():
        transport = StreamTransport(5.0)
        async with serving(serve) as url, httpx2.AsyncClient(transport=transport) as client:
            response = await client.post(url, content=b"x" * 50_000_000)
            assert response.status_code == 413 and len(transport._idle) == 0
            gone.set()

    run(main())
