"""Limits on the cost of a server: memory for its output, and time while it sends nothing."""

import asyncio
import gzip

import httpx2
import pytest

from chat.llm.http import connection as model_connection
from chat.llm.http.transport import StreamTransport
from tests.chat.llm.http.certificates import self_signed
from tests.chat.llm.marking_server import LINES, MODES, ask, lines, serving, talking

READ_BYTES = 256 * 1024  # The event loop reads this much at once.


@pytest.mark.parametrize("secure", [False, True])
def test_a_slow_reader_pauses_the_server(run, tmp_path, monkeypatch, secure):
    def much(mark):
        return [b"HTTP/1.1 200 OK\r\n\r\n", *([lines(mark, 9_000)] * 600), "close"]

    monkeypatch.setitem(MODES, "endless", much)

    async def main():
        tls = None
        if secure:
            certificate, tls = self_signed(tmp_path)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with talking(tls) as (server, _, client):
            url = server.url("a", "endless", "https" if secure else "http")
            async with client.stream("POST", url, content=b"{}") as response:
                pieces = response.aiter_raw()
                size = len(await anext(pieces))
                sent = -1
                while sent != server.sent_bytes["a"]:
                    sent = server.sent_bytes["a"]
                    await asyncio.sleep(0.3)
                exchange = response.stream._stream._exchange
                unread = sum(map(len, exchange._parser.pieces))
                assert unread <= model_connection.HIGH_WATER_BYTES + READ_BYTES
                assert sent < 30_000_000
                async for piece in pieces:
                    size += len(piece)
                assert size == 600 * len(lines(b"a", 9_000)) > sent

    run(main())


def test_a_compressed_body_is_decompressed_in_bounded_pieces(run):
    packed = gzip.compress(bytes(200_000_000), 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + packed)
        await writer.drain()

    async def main():
        transport = StreamTransport(5.0)
        async with serving(serve) as url, httpx2.AsyncClient(transport=transport) as client:
            async with client.stream("POST", url) as response:
                sizes = [len(piece) async for piece in response.aiter_bytes()]
            assert sum(sizes) == 200_000_000 and max(sizes) <= 2**20

    run(main())


def test_a_server_that_never_accepts_ends_with_the_connect_timeout(run, monkeypatch):
    async def never(*_, **__):
        await asyncio.get_running_loop().create_future()

    async def main():
        transport = StreamTransport(0.05)
        monkeypatch.setattr(transport, "_open", never)
        async with httpx2.AsyncClient(transport=transport) as client:
            with pytest.raises(httpx2.ConnectTimeout):
                await client.post("http://127.0.0.1:1/")

    run(main())


def test_a_timeout_while_waiting_for_the_head_closes_the_connection(run, monkeypatch):
    monkeypatch.setitem(MODES, "silent", lambda mark: [None] * 100_000)

    async def main():
        async with talking() as (server, transport, client):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ask(client, server.url("a", "silent"))
            assert len(transport._idle) == 0
            assert await ask(client, server.url("b")) == lines(b"b", LINES)

    run(main())


@pytest.mark.parametrize("value", ["a\nX-Evil: b", "a\r\nX-Evil: b", "a\0b"])
def test_a_header_with_a_line_end_is_not_sent(run, value):
    async def main():
        async with talking() as (server, _, client):
            with pytest.raises((httpx2.LocalProtocolError, ValueError)):
                await client.post(server.url("a"), headers={"Authorization": value})
            assert not server.requests and not server.connections

    run(main())
