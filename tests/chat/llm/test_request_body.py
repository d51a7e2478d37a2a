"""The body of a request is the same JSON as if encoded at once, and it is encoded in slices."""

import asyncio
import threading
from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.llm import request_body
from chat.llm.request_body import encode_request

texts = st.text(alphabet='aé日😀"\\\n\x00', max_size=30)


def request_of(sizes, letter="é"):
    messages = [{"role": "user", "content": letter * size} for size in sizes]
    return {"model": "m", "stream": True, "messages": messages, "usage": {"include": True}}


@given(contents=st.lists(texts, max_size=8))
async def test_it_is_the_whole_request(contents):
    messages = [{"role": "user", "content": content} for content in contents]
    request = {"model": "m", "messages": messages, "add_generation_prompt": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_body, "SLICE_CHARS", 10)
        assert await encode_request(request) == orjson.dumps(request)


@pytest.mark.parametrize("sizes", [[2_500] * 1_000, [20_000] * 200])
async def test_few_characters_are_encoded_between_two_turns_of_the_loop(monkeypatch, sizes):
    turn, encoded = 0, Counter()
    dumps = orjson.dumps

    thread = threading.get_ident()

    def noting(value, *args):
        # Not what the fake models of other tests encode, in threads of their own.
        if threading.get_ident() == thread and "content" in value:
            encoded[turn] += len(value["content"])
        return dumps(value, *args)

    async def count_turns():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(orjson, "dumps", noting)
    counting = asyncio.create_task(count_turns())
    await asyncio.sleep(0)
    await encode_request(request_of(sizes))
    counting.cancel()
    assert sum(encoded.values()) == sum(sizes)
    assert max(encoded.values()) <= request_body.SLICE_CHARS
