"""A call whose connection breaks without a response is one attempt, which is logged and limited."""

import asyncio
import contextlib

import orjson
import pytest

from tests.chat.llm.http.event_streams import DONE, END, HEAD, SSE, answer_of
from tests.chat.llm.marking_server import chunk, serving


class DyingProvider:
    """Answers the first call; closes the connection after reading each of the next `dies` calls."""

    def __init__(self, dies):
        self.dies, self.calls, self.connections = dies, 0, 0

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.connections += 1
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
                body = await reader.readexactly(length)
                if not body:
                    writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                    continue
                assert orjson.loads(body)["stream"]
                self.calls += 1
                if 1 < self.calls <= 1 + self.dies:
                    return
                writer.write(HEAD % SSE + chunk(answer_of(f"n{self.calls}")) + chunk(DONE) + END)
                await writer.drain()


@pytest.mark.parametrize("dies", [1, 1000])
async def test_each_attempt_is_one_request(worker, alice, settings, monkeypatch, dies):
    monkeypatch.setattr("chat.generation.generation.FIRST_RETRY_DELAY_S", 0.01)
    settings.MAX_ATTEMPTS = 3
    provider = DyingProvider(dies)
    async with serving(provider.serve) as url:
        settings.OPENAI_BASE_URL = f"{url}v1"
        _, first = await alice.send("Hello", model="openai/known")
        assert str((await alice.settled(first)).text) == "n1 one n1 two "
        _, second = await alice.send("Again", model="openai/known")
        message = await alice.settled(second)
        if dies == 1:
            assert (message.status, message.attempt, provider.calls) == ("done", 2, 3)
            assert str(message.text) == "n3 one n3 two "
        else:
            assert (message.status, message.attempt, provider.calls) == ("error", 3, 4)
