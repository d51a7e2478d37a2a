"""Hostile servers of people's own keys: a worker must survive any response."""

import asyncio
import signal
from contextlib import asynccontextmanager

import httpx2
import pytest

from chat.llm.http.transport import StreamTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "a negative chunk": CHUNKED + b"-5\r\n" + b"x" * 100,
    "a chunk with a sign": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk with underscores": CHUNKED + b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
    "a chunk without a size": CHUNKED + b"\r\n\r\n\r\n",
    "a chunk of endless size": CHUNKED + b"f" * 5_000 + b"\r\n",
    "a length of 5,000 digits": HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\nhello",
    "no status": b"HTTP/1.1 abc\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000,
    "prefaces without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
}


@asynccontextmanager
async def serving_bytes(answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def alarm():
    """An endless loop blocks the event loop, so no other time limit would work."""

    def ring(*_):
        raise AssertionError("an endless loop")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ANSWERS)
async def test_invalid_http_raises_a_transport_error(alarm, name):
    async with serving_bytes(ANSWERS[name]) as port:
        client = httpx2.AsyncClient(transport=StreamTransport(5.0))
        with pytest.raises(httpx2.TransportError):
            await client.post(f"http://127.0.0.1:{port}/v1", content=b"{}", timeout=10)
        await client.aclose()
