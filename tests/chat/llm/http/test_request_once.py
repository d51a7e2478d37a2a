"""No request is sent twice, and a stale connection is found before anything is written to it."""

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
def test_no_request_is_sent_twice(run, mode, method):
    """The server may have executed it, also when nothing came."""

    async def main():
        async with talking() as (server, _, client):
            await ask(client, server.url("first"))
            with pytest.raises(httpx2.TransportError):
                await client.request(method, server.url("a", mode), content=b"{}")
            assert server.connections == 1, "it went over the connection that was there"
            await asyncio.sleep(0.05)
            assert server.requests["a"] == 1

    run(main())


BYES = {
    "an end": lambda writer: writer.close(),
    "a reset": lambda writer: writer.transport.abort(),
    "bytes": lambda writer: writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n"),
}


@pytest.mark.parametrize("bye", BYES)
def test_whatever_comes_over_an_idle_connection_closes_it(run, bye):
    async def main():
        async with talking() as (server, transport, client):
            await ask(client, server.url("a"))
            [writer] = server.open
            BYES[bye](writer)
            await settle(lambda: not len(transport._idle))
            assert await ask(client, server.url("b")) == lines(b"b")
            assert server.connections == 2 and server.requests["b"] == 1

    run(main())


@pytest.mark.parametrize("bye", ["FIN", "bytes"])
def test_what_the_loop_has_not_read_yet_is_found_before_anything_is_sent(run, bye):
    """The loop is held up from before it comes until the next request is made."""

    async def main():
        async with talking() as (server, transport, client):
            await ask(client, server.url("a"))
            [writer] = server.open
            number = writer.get_extra_info("socket").fileno()
            [idle] = transport._idle._idle.values()
            ours = next(iter(idle))._transport
            if bye == "FIN":
                with socket.socket(fileno=os.dup(number)) as same:
                    same.shutdown(socket.SHUT_WR)
            else:
                os.write(number, b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            while not model_connection._has_input(ours):
                time.sleep(0.001)
            assert await ask(client, server.url("b")) == lines(b"b")
            assert server.connections == 2 and server.requests["b"] == 1

    run(main())


def test_idle_connections_close_by_themselves(run, monkeypatch):
    monkeypatch.setattr(idle_connections, "IDLE_S", 0.05)

    async def main():
        async with talking() as (server, transport, client):
            await asyncio.gather(*(ask(client, server.url(f"m{n}", "in parts")) for n in range(5)))
            await settle(lambda: not server.open)
            assert len(transport._idle) == 0

    run(main())


def test_what_is_given_back_to_a_closed_transport_is_closed(run):
    async def main():
        async with talking() as (server, transport, client):
            request = client.build_request("POST", server.url("a", "in parts"), content=b"{}")
            answer = await client.send(request, stream=True)
            await transport.aclose()
            assert await answer.aread() == lines(b"a")
            await settle(lambda: not server.open)

    run(main())


def test_an_answer_before_all_was_asked_costs_the_connection(run):
    """A refusal that comes while a long prompt is still being written."""
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
