"""A server whose responses repeat the mark in the request, sent in many ways ("modes")."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import httpx2

from chat.llm.http.transport import StreamTransport

# The ways in which a reader leaves a response, and when.
READERS = [
    "reads all",
    "breaks off",
    "breaks off when all has come",
    "refuses it unread",
    "refuses it when all has come",
    "reads on after a break",
]
PAUSE_S = 0.005
LINES = 6  # of a normal response
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


def lines(mark, count=LINES):
    return b"data: %b\n\n" % mark * count


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(mark):
    return CHUNKED + b"\r\n" + chunk(lines(mark, 2)) + chunk(lines(mark, 4)) + END


def sized(mark):
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(lines(mark)) + lines(mark)


# Each is a function of the mark; it returns bytes to write, None for a pause, "close" or "abort".
MODES = {
    "whole": lambda m: [whole(m)],
    "sized": lambda m: [sized(m)],
    "in parts": lambda m: [
        CHUNKED + b"\r\n", None, chunk(lines(m, 2)), None, chunk(lines(m, 4)), None, END
    ],
    "the rest at once": lambda m: [
        CHUNKED + b"\r\n" + chunk(lines(m, 2)), None, chunk(lines(m, 4)) + END
    ],
    "sized, in parts": lambda m: [sized(m)[:90], None, sized(m)[90:]],
    "end comes late": lambda m: [whole(m).removesuffix(END), None, None, END],
    "head comes late": lambda m: [None, None, whole(m)],
    "after a preface": lambda m: [b"HTTP/1.1 100 Continue\r\n\r\n", None, whole(m)],
    "until closed": lambda m: [HEAD + b"\r\n" + lines(m, 2), None, lines(m, 4), "close"],
    "says close": lambda m: [CHUNKED + b"Connection: close\r\n\r\n" + chunk(lines(m)) + END],
    "HTTP/1.0": lambda m: [b"HTTP/1.0 200 OK\r\n\r\n" + lines(m), "close"],
    "cut off": lambda m: [CHUNKED + b"\r\n" + chunk(lines(m, 2)), None, "abort"],
    "no answer": lambda m: ["close"],
    "reset": lambda m: ["abort"],
    "another answer behind it": lambda m: [whole(m) + whole(m)],
    "another sized answer behind it": lambda m: [sized(m) + sized(m)],
    "half an answer behind it": lambda m: [sized(m) + whole(m)[:100]],
    "a line end behind it": lambda m: [whole(m) + b"\r\n"],
    "LF alone": lambda m: [(HEAD + b"\r\n").replace(b"\r", b"") + lines(m), "close"],
    "much": lambda m: [CHUNKED + b"\r\n", *(chunk(lines(m, 9_000)) for _ in range(16)), END],
    "html": lambda m: [sized(m).replace(b"event-stream", b"html")],
    "refused": lambda m: [sized(m).replace(b"200 OK", b"429 Too Many")],
    "no content": lambda m: [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "broken chunks": lambda m: [CHUNKED + b"\r\n" + chunk(lines(m)) + b"zz\r\n", None, whole(m)],
}  # fmt: skip


class MarkingServer:
    def __init__(self):
        self.requests = Counter()  # by mark
        self.connections = 0
        self.open = set()
        self.sent_bytes = Counter()  # by mark
        self.port = 0

    def url(self, mark, mode="whole", scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}/{mark}/{mode.replace(' ', '_')}"

    async def serve(self, reader, writer):
        self.connections += 1
        self.open.add(writer)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open.discard(writer)

    async def _answer_one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
        await reader.readexactly(int(length or 0))
        _, mark, mode = head.split(" ", 2)[1].split("/")
        self.requests[mark] += 1
        # Like a real server, it stops sending when the client has disconnected.
        for step in MODES[mode.replace("_", " ")](mark.encode()):
            if step is None:
                await asyncio.sleep(PAUSE_S)
            elif step == "abort":
                writer.transport.abort()
                return False
            elif step == "close":
                writer.close()
                await writer.wait_closed()
                return False
            else:
                writer.write(step)
                self.sent_bytes[mark] += len(step)
                await writer.drain()
        return not reader.at_eof()


@asynccontextmanager
async def marking_server(tls=None):
    server = MarkingServer()
    async with serving(server.serve, tls) as url:
        server.port = int(url.rstrip("/").rpartition(":")[2])
        yield server


@asynccontextmanager
async def serving(serve, tls=None):
    """Yields the server's address; closes all connections at the end."""
    opened = set()

    async def one(reader, writer):
        opened.add(writer)
        try:
            await serve(reader, writer)
        finally:
            opened.discard(writer)
            writer.transport.abort()

    listening = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    finally:
        listening.close()
        for writer in list(opened):
            writer.transport.abort()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def talking(tls=None, **options):
    """Yields (server, transport, client)."""
    async with marking_server(tls) as server:
        transport = StreamTransport(10.0, **options)
        async with httpx2.AsyncClient(transport=transport, timeout=None) as client:
            yield server, transport, client


async def ask(client, url, how="reads all"):
    """The bytes of one response that the reader received."""
    seen = b""
    async with client.stream("POST", url, content=b"{}") as response:
        if how.startswith("refuses"):
            await asyncio.sleep(0.03 if "has come" in how else 0)
            return seen
        async for piece in response.aiter_raw():
            seen += piece
            if how == "breaks off":
                break
            if how == "breaks off when all has come":
                await asyncio.sleep(0.03)
                break
            if how == "reads on after a break":
                await asyncio.sleep(0.03)
    return seen


def foreign(seen, mark):
    """The bytes received that do not belong to this mark."""
    return seen.replace(lines(mark.encode(), 1), b"").removesuffix(
        lines(mark.encode(), 1)[: len(seen) % len(lines(mark.encode(), 1))]
    )


async def settle(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
