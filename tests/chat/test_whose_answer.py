"""Calls of models over connections that are used again: nobody's answer holds anybody else's."""

import asyncio
import contextlib

import orjson
import pytest

from chat import answer_stream
from chat.endpoints import Endpoint, Model
from chat.model_errors import ProviderError
from chat.prompt import Prompt
from chat.providers import Delta, close_clients, stream_answer
from tests.chat.marking_server import chunk, serving

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
SSE, END = b"text/event-stream", b"0\r\n\r\n"


def event(text, finish=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: %b\n\n" % orjson.dumps({"choices": [choice]})


def answer_of(mark):
    return event(f"{mark} one ") + event(f"{mark} two ") + event("", "stop")


DONE = b"data: [DONE]\n\n"
# By what the question says after its mark.
WAYS = {
    "well": lambda m: [HEAD % SSE, chunk(answer_of(m)), chunk(DONE) + END],
    "end later": lambda m: [HEAD % SSE, chunk(answer_of(m)), chunk(DONE), None, END],
    "more after done": lambda m: [
        HEAD % SSE, chunk(answer_of(m) + DONE), None, chunk(b": bye\n\n"), chunk(b"\n"), END
    ],
    "two chunks at once": lambda m: [
        HEAD % SSE + chunk(event(f"{m} one ")), None,
        chunk(event(f"{m} two ")) + chunk(event("", "stop") + DONE) + END,
    ],
    "as a page": lambda m: [HEAD % b"text/html" + chunk(answer_of(m) + DONE) + END],
    "an error inside": lambda m: [
        HEAD % SSE + chunk(b'data: {"error": {"message": "no", "code": 500}}\n\n')
        + chunk(answer_of(m) + DONE) + END
    ],
    "not JSON": lambda m: [HEAD % SSE + chunk(b"data: {{{\n\n") + chunk(answer_of(m)) + END],
    "refused": lambda m: [
        b"HTTP/1.1 429 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    ],
    "nothing": lambda m: [],
}  # fmt: skip
CLEAN = {"well", "end later", "more after done", "two chunks at once", "refused"}


class Provider:
    def __init__(self):
        self.connections, self.questions = 0, []

    async def serve(self, reader, writer):
        self.connections += 1
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            question = orjson.loads(await reader.readexactly(length))["messages"][-1]["content"]
            self.questions.append(question)
            mark, _, way = question.partition(": ")
            steps = WAYS[way](mark)
            for step in steps:
                if step is None:
                    await asyncio.sleep(0.004)
                else:
                    writer.write(step)
                    await writer.drain()
            if not steps:
                return


@pytest.fixture
async def provider():
    provider = Provider()

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await provider.serve(reader, writer)

    async with serving(serve) as url:
        endpoint = Endpoint("openai", f"{url}v1", "sk-secret")
        provider.model = Model("openai/script/known", "Known", endpoint, 8192)
        yield provider
        await close_clients()


async def ask(provider, question, pieces=1000, wait_s=0.0):
    """What was seen of the answer, of which no more than so many pieces are read."""
    seen = ""
    prompt = Prompt(({"role": "user", "content": question},), 0, 7)
    async with contextlib.aclosing(stream_answer(provider.model, prompt)) as answer:
        async for item in answer:
            if isinstance(item, Delta):
                seen += item.text
                pieces -= 1
            if not pieces:
                await asyncio.sleep(wait_s)
                break
    return seen


@pytest.mark.parametrize("wait_s", [0, 0.02])
@pytest.mark.parametrize("pieces", [1, 1000])
@pytest.mark.parametrize("way", WAYS)
async def test_the_next_person_gets_their_own_answer(provider, way, pieces, wait_s):
    for n in range(3):
        with contextlib.suppress(ProviderError):
            seen = await ask(provider, f"anna{n}: {way}", pieces, wait_s)
            assert f"anna{n} one anna{n} two ".startswith(seen)
        assert await ask(provider, f"ben{n}: well") == f"ben{n} one ben{n} two "
    assert len(provider.questions) == len(set(provider.questions))


@pytest.mark.parametrize("after_s", [0, 0.001, 0.003, 0.005, 0.01])
async def test_a_cancelled_call_leaves_nothing_for_the_next(provider, after_s):
    """As when the lease is lost, or the person stops."""
    for way in ("two chunks at once", "end later", "well"):
        task = asyncio.create_task(ask(provider, f"anna: {way}"))
        await asyncio.sleep(after_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await ask(provider, "ben: well") == "ben one ben two "


@pytest.mark.parametrize("way", WAYS)
async def test_what_ended_well_leaves_its_connection_for_the_next(provider, way, monkeypatch):
    monkeypatch.setattr(answer_stream, "DRAIN_TIMEOUT_S", 10)
    for n in range(4):
        with contextlib.suppress(ProviderError):
            await ask(provider, f"{n}: {way}")
    assert provider.connections == (1 if way in CLEAN else 4)


async def test_a_connection_that_dies_unanswered_is_one_attempt_and_one_request(provider):
    await ask(provider, "first: well")
    with pytest.raises(ProviderError) as caught:
        await ask(provider, "anna: nothing")
    assert (caught.value.code, caught.value.permanent) == ("provider_down", False)
    assert provider.questions.count("anna: nothing") == 1 and provider.connections == 1
