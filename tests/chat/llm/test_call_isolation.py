"""Model calls over reused connections: no answer contains text of another one."""

import asyncio
import contextlib
from dataclasses import replace

import orjson
import pytest

from chat.llm import learned
from chat.llm.client import Delta, choose_continuation, close_clients, stream_answer
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ProviderError
from chat.llm.stream import body as answer_stream
from tests.chat.llm.http.event_streams import DONE, END, HEAD, SSE, answer_of, event
from tests.chat.llm.marking_server import chunk, serving
from tests.chat.llm.prompts import prompt_of


def refusal(message):
    body = b'{"error": {"message": "%b", "type": "invalid_request_error"}}' % message
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


# The question names one of these after its mark.
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
    "as a page": lambda m: [HEAD % b"text/html" + chunk(b"<html>" + answer_of(m) + DONE) + END],
    "called a page": lambda m: [HEAD % b"text/html" + chunk(answer_of(m)) + chunk(DONE) + END],
    "an error inside": lambda m: [
        HEAD % SSE + chunk(b'data: {"error": {"message": "no", "code": 500}}\n\n')
        + chunk(answer_of(m) + DONE) + END
    ],
    "not JSON": lambda m: [HEAD % SSE + chunk(b"data: {{{\n\n") + chunk(answer_of(m)) + END],
    "refused": lambda m: [
        b"HTTP/1.1 429 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    ],
    "nothing": lambda m: [],
    "quoted stream_options": lambda m: [refusal(b"You said include_usage: no.")],
    "quoted limit": lambda m: [refusal(b"You said max_completion_tokens: no.")],
    "bad": lambda m: [refusal(b"No.")],
}  # fmt: skip
REFUSED = {"refused", "quoted stream_options", "quoted limit", "bad"}
CLEAN = {"well", "called a page", "end later", "more after done", "two chunks at once"} | REFUSED


class Provider:
    def __init__(self):
        self.connections, self.questions, self.bodies = 0, [], []

    async def serve(self, reader, writer):
        self.connections += 1
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = orjson.loads(await reader.readexactly(length))
            question = body["messages"][0]["content"]
            self.questions.append(question)
            self.bodies.append(body)
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
    """The text of the answer, of which at most `pieces` deltas are read."""
    seen = ""
    prompt = prompt_of(question)
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
async def test_the_next_call_gets_its_own_answer(provider, way, pieces, wait_s):
    for n in range(3):
        with contextlib.suppress(ProviderError):
            seen = await ask(provider, f"anna{n}: {way}", pieces, wait_s)
            assert f"anna{n} one anna{n} two ".startswith(seen)
        assert await ask(provider, f"ben{n}: well") == f"ben{n} one ben{n} two "
    again = way == "quoted stream_options"  # The request is repeated without them.
    assert len(provider.questions) == len(set(provider.questions)) + 3 * again


@pytest.mark.parametrize("after_s", [0, 0.001, 0.003, 0.005, 0.01])
async def test_a_cancelled_call_leaves_nothing_for_the_next_one(provider, after_s):
    """A call is cancelled if its lease is lost or the person stops the reply."""
    for way in ("two chunks at once", "end later", "well"):
        task = asyncio.create_task(ask(provider, f"anna: {way}"))
        await asyncio.sleep(after_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await ask(provider, "ben: well") == "ben one ben two "


@pytest.mark.parametrize("way", WAYS)
async def test_a_clean_end_leaves_the_connection_for_the_next_call(provider, way, monkeypatch):
    monkeypatch.setattr(answer_stream, "DRAIN_TIMEOUT_S", 10)
    for n in range(4):
        with contextlib.suppress(ProviderError):
            await ask(provider, f"{n}: {way}")
    assert provider.connections == (1 if way in CLEAN else 4)


async def test_a_lost_connection_is_one_attempt_and_one_request(provider):
    await ask(provider, "first: well")
    with pytest.raises(ProviderError) as caught:
        await ask(provider, "anna: nothing")
    assert (caught.value.code, caught.value.permanent) == ("provider_down", False)
    assert provider.questions.count("anna: nothing") == 1 and provider.connections == 1


@pytest.mark.parametrize("way", ["quoted stream_options", "quoted limit", "bad"])
async def test_nothing_is_learned_from_a_refusal_that_quotes_a_person(provider, way, settings):
    """Otherwise usage would be estimated for everybody, and continuing would be worse."""
    settings.PREFILL_MODELS = [provider.model.id]
    prompt = prompt_of(f"anna: {way}")
    for partial in ("", "anna zero "):
        with pytest.raises(ProviderError):
            async for _ in stream_answer(provider.model, prompt, partial=partial, max_tokens=9):
                pass
    provider.bodies.clear()
    await ask(provider, "ben: well")
    assert "stream_options" in provider.bodies[-1]
    assert choose_continuation(provider.model, "ben one ") == "prefill"
    for known in (learned.refuses_prefill, learned.refuses_stream_options, learned.renamed_limit):
        assert not known


async def test_facts_learned_with_an_own_key_apply_to_that_key_only(provider):
    own = replace(provider.model.endpoint, owner="a" * 32)
    site = provider.model
    provider.model = replace(site, endpoint=own)
    learned.refuses_stream_options.add(learned.endpoint_key(provider.model), True)
    await ask(provider, "anna: well")
    assert "stream_options" not in provider.bodies[-1]
    provider.model = site
    await ask(provider, "ben: well")
    assert "stream_options" in provider.bodies[-1]


async def test_cookies_of_responses_are_never_sent(monkeypatch):
    """A gateway may identify conversations by cookies."""
    heads = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        heads.append(head)
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        set_cookie = HEAD % SSE
        set_cookie = set_cookie.replace(b"\r\n\r\n", b"\r\nSet-Cookie: talk=anna; Path=/\r\n\r\n")
        writer.write(set_cookie + chunk(answer_of("x") + DONE) + END)
        await writer.drain()
        writer.close()

    async with serving(serve) as url:
        for proxies in ({}, {"http": url}):  # Our own transport, and the library's.
            monkeypatch.setattr("urllib.request.getproxies", lambda proxies=proxies: proxies)
            for _ in range(2):
                endpoint = Endpoint("openai", f"{url}v1", "sk-secret")
                provider = Provider()
                provider.model = Model("openai/script/known", "Known", endpoint, 8192)
                assert await ask(provider, "x: well") == "x one x two "
            await close_clients()
    assert len(heads) == 4 and not any(b"cookie" in head for head in heads)
