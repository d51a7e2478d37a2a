"""A long request is written in pieces, between which other tasks run, and arrives whole."""

import asyncio

import httpx2
import pytest

from chat.llm.http import connection as model_connection
from chat.llm.http.connection import PIECE_BYTES, Connection
from chat.llm.http.transport import StreamTransport
from tests.chat.llm.http.certificates import self_signed
from tests.chat.llm.marking_server import ask, lines, serving, settle, talking

BODY = b"".join(b"%07d " % number for number in range(500_000))
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def written(monkeypatch):
    """(turn of the loop, bytes) of each write to a connection."""
    writes, turn = [], [0]
    made = Connection.connection_made

    def connection_made(self, transport):
        made(self, transport)
        write = transport.write

        def noting(data):
            writes.append((turn[0], len(data)))
            write(data)

        self._transport = Spy(transport, noting)

    monkeypatch.setattr(Connection, "connection_made", connection_made)
    return Writes(writes, turn)


class Spy:
    """A transport whose `write` is another one."""

    def __init__(self, transport, write):
        self._transport, self.write = transport, write

    def __getattr__(self, name):
        return getattr(self._transport, name)


class Writes:
    def __init__(self, writes, turn):
        self.writes, self._turn = writes, turn

    async def count_turns(self):
        while True:
            self._turn[0] += 1
            await asyncio.sleep(0)


async def receive(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length))


@pytest.mark.parametrize("secure", [False, True])
def test_a_long_body_arrives_whole_and_is_written_in_pieces(
    run, tmp_path, monkeypatch, written, secure
):
    received = []

    async def serve(reader, writer):
        while not reader.at_eof():
            received.append(await receive(reader))
            writer.write(RESPONSE)

    async def main():
        tls = None
        if secure:
            certificate, tls = self_signed(tmp_path)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with (
            serving(serve, tls) as url,
            httpx2.AsyncClient(transport=StreamTransport(10.0), timeout=None) as client,
        ):
            url = url.replace("http:", "https:") if secure else url
            counting = asyncio.create_task(written.count_turns())
            for body in (BODY, b"{}", BODY[:PIECE_BYTES], BODY[: PIECE_BYTES + 1]):
                response = await client.post(url, content=body)
                assert response.content == b"ok" and received.pop() == body
            counting.cancel()

    run(main())
    pieces = -(-len(BODY) // PIECE_BYTES)
    assert len(written.writes) == pieces + 1 + 1 + 2
    assert max(size for _, size in written.writes) < PIECE_BYTES + 1_000
    turns = [turn for turn, _ in written.writes[:pieces]]
    assert len(set(turns)) == pieces


def test_a_connection_holds_no_body_once_it_is_written(run):
    async def main():
        async with talking() as (server, transport, client):
            assert await ask(client, server.url("a")) == lines(b"a")
            response = await client.post(server.url("b"), content=BODY)
            assert response.content == lines(b"b")
            [idle] = [c for connections in transport._idle._idle.values() for c in connections]
            assert idle._unsent is None

    run(main())


def test_a_connection_whose_request_was_answered_early_is_not_used_again(run, monkeypatch):
    """Otherwise the next request would follow half of this one."""
    monkeypatch.setattr(model_connection, "PIECE_BYTES", 10)
    heads = []

    async def serve(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(RESPONSE)
        await reader.read()

    async def main():
        transport = StreamTransport(10.0)
        async with (
            serving(serve) as url,
            httpx2.AsyncClient(transport=transport, timeout=None) as client,
        ):
            for count in (1, 2):
                response = await client.post(url, content=BODY)
                assert response.content == b"ok"
                await settle(lambda: not len(transport._idle))
                assert len(heads) == count

    run(main())


def test_a_cancelled_request_is_written_no_further(run, written, monkeypatch):
    monkeypatch.setattr(model_connection, "PIECE_BYTES", 100)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(60)

    async def main():
        async with (
            serving(serve) as url,
            httpx2.AsyncClient(transport=StreamTransport(10.0), timeout=None) as client,
        ):
            asking = asyncio.create_task(client.post(url, content=BODY))
            while not written.writes:
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            count = len(written.writes)
            await asyncio.sleep(0.05)
            assert len(written.writes) == count < len(BODY) // 100

    run(main())
