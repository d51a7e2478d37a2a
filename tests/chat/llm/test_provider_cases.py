"""Responses of providers over real HTTP: tests/vectors/provider, and every framing at every cut."""

import asyncio
import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from chat.llm.client import Delta, Finish, close_clients, stream_answer
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ProviderError
from chat.llm.stream.body import AnswerStream
from chat.llm.stream.sse import EventSplitter
from tests.chat.llm.prompts import prompt_of
from tests.examples import examples
from tests.raw_provider import body_of, cases, running_raw_provider

CASES = {case["name"]: case for case in cases()}
PROMPT = prompt_of("Where does moss grow?")


@pytest.fixture
async def provider():
    async with running_raw_provider() as provider:
        yield provider
        await close_clients()


async def read(provider, case):
    """The result of one call, in the form of a case's `expect`."""
    name = case["name"]  # A model per case, so that facts learned in one do not affect another.
    provider.serve(name, [case])
    model = Model(f"openai/{name}", name, Endpoint("openai", provider.base_url, "none"), 8192)
    got, seen = Delta(), {}
    try:
        async for item in stream_answer(model, PROMPT):
            if isinstance(item, Finish):
                seen = {"finish": item.reason, "omitted": list(item.omitted)}
                usage = item.usage
            else:
                got = item.after(got)
    except ProviderError as error:
        seen = {"error": error.code, "permanent": error.permanent}
        seen["max_fruitless"], usage = error.max_fruitless, error.usage
    seen |= {"text": got.text, "reasoning": got.reasoning}
    if usage is not None and not usage.estimated:
        seen["usage"] = [usage.prompt_tokens, usage.completion_tokens]
    return seen


@pytest.mark.parametrize("name", CASES)
async def test_each_case_is_read_as_expected(provider, name):
    case = CASES[name]
    expect = dict(case["expect"])
    ended_by = expect.pop("ended_by", "server")
    seen = await read(provider, case)
    assert {key: seen.get(key) for key in expect} == expect
    if ended_by == "client":
        assert provider.sent_whole == 0
    if not expect.get("omitted"):
        assert not seen.get("omitted")
    assert len(provider.calls) == 1


QUICK = [c for c in CASES.values() if not any("sleep" in p or "cut" in p for p in c["body"])]


@pytest.mark.parametrize("size", [1, 3, 64])
async def test_the_result_does_not_depend_on_network_reads(provider, size):
    provider.split = size
    for case in QUICK:
        expect = case["expect"]
        seen = await read(provider, case)
        assert {key: seen.get(key) for key in expect} == expect, case["name"]


class Body:
    """A response whose body consists of these pieces."""

    def __init__(self, pieces):
        self.pieces, self.headers = pieces, {}

    async def aiter_bytes(self):
        for piece in self.pieces:
            yield piece


async def read_pieces(pieces):
    stream = AnswerStream(Body(pieces), None, "", 7, asyncio.get_running_loop().time())
    got = Delta()
    try:
        async for delta in stream.deltas():
            got = delta.after(got)
        end = stream.finish()
    except ProviderError as error:
        end = (error.code, error.permanent)
    return got.text, got.reasoning, end


def in_pieces(body, cuts):
    places = sorted({min(cut, len(body)) for cut in cuts})
    edges = [0, *places, len(body)]
    return [body[a:b] for a, b in zip(edges, edges[1:], strict=False) if a < b]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case["name"])
@given(cuts=st.lists(st.integers(0, 2_000), max_size=12))
@tuned(max_examples=examples(25), deadline=None)
def test_each_case_gives_the_same_wherever_it_is_cut(case, cuts):
    body = b"".join(body_of(case))
    whole = asyncio.run(read_pieces([body] if body else []))
    assert asyncio.run(read_pieces(in_pieces(body, cuts))) == whole


texts = st.text(alphabet='ab <>/think\n`é😀.[]{}":,', max_size=12)
deltas = st.one_of(
    st.builds(lambda text: {"content": text}, texts),
    st.builds(lambda text: {"reasoning_content": text}, texts),
)


def _events(chunks, eol, pre, ends):
    return "".join(f"{pre}{chunk}{eol * ends}" for chunk in chunks)


FRAMINGS = {
    "events": lambda chunks: _events(chunks, "\n", "data: ", 2),
    "CRLF": lambda chunks: _events(chunks, "\r\n", "data: ", 2),
    "CR": lambda chunks: _events(chunks, "\r", "data:", 2),
    "one line end": lambda chunks: _events(chunks, "\n", "data: ", 1),
    "three line ends": lambda chunks: _events(chunks, "\n", "data:", 3),
    "mark": lambda chunks: "\ufeff" + _events(chunks, "\n", "data: ", 2),
    "named": lambda chunks: "".join(f"event: message\nid: 1\ndata: {c}\n\n: x\n\n" for c in chunks),
    "lines": lambda chunks: "".join(f"{chunk}\n" for chunk in chunks),
    "lines, CRLF": lambda chunks: "\r\n".join(chunks),
    "list": lambda chunks: "[" + ",\n".join(chunks) + "]",
    "pretty": lambda chunks: "".join(
        json.dumps(json.loads(chunk), indent=1) + "\n" for chunk in chunks
    ),
    "pairs": lambda chunks: "".join(
        f"data: {''.join(chunks[n : n + 2])}\n\n" for n in range(0, len(chunks), 2)
    ),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@given(
    sent=st.lists(deltas, max_size=6),
    reason=st.sampled_from(["stop", "length", "moon_phase"]),
    cuts=st.lists(st.integers(0, 900), max_size=9),
)
@example(
    sent=[{"content": "a"}, {"content": "</think>"}, {"reasoning_content": "b"}],
    reason="stop",
    cuts=[],
)
@example(
    sent=[
        {"content": "<think>"},
        {"content": "a"},
        {"reasoning_content": "b"},
        {"content": "c"},
    ],
    reason="stop",
    cuts=[],
)
@tuned(max_examples=examples(30), deadline=None)
def test_any_framing_cut_anywhere_gives_the_same(framing, sent, reason, cuts):
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in sent]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    chunks = [json.dumps({"choices": [choice]}) for choice in choices]
    chunks.append(
        json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}})
    )
    plain = asyncio.run(read_pieces([f"data: {chunk}\n\n".encode() for chunk in chunks]))
    body = FRAMINGS[framing](chunks).encode()
    assert asyncio.run(read_pieces(in_pieces(body, cuts))) == plain


@pytest.mark.parametrize(
    "pieces", [[b'{"a": [' + b"{},\n\n{}\n\n," * 9_000], [b'{"a": ['] + [b"{}\n,"] * 20_000]
)
def test_an_endless_document_is_not_parsed_again_for_every_line(monkeypatch, pieces):
    """Otherwise such a server could block all replies of the worker for minutes."""
    parsed = []

    class Counting:
        dumps = orjson.dumps

        @staticmethod
        def loads(data):
            parsed.append(len(data))
            return orjson.loads(data)

    monkeypatch.setattr("chat.llm.stream.sse.orjson", Counting)
    splitter = EventSplitter()
    for piece in pieces:
        splitter.feed(piece)
    assert sum(parsed) < 1_000 * sum(map(len, pieces))
