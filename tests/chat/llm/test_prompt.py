"""Prompts: fitting the window, leaving messages out, and counting tokens."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.llm import prompt, tokens
from chat.llm.client import Finish, close_clients, stream_answer
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ContextTooLong, ProviderError, classify
from chat.llm.prompt import PromptMessage, answer_reserve, build_prompt, smaller_window
from chat.llm.tokens import estimate_tokens
from tests.chat.llm.prompts import prompt_from
from tests.fake_model import running_fake_model


def model(window, server="", url="http://127.0.0.1:9/v1"):
    return Model("openai/x", "X", Endpoint("openai", url, "k"), window, None, server)


def dialogue(*sizes):
    roles = ("user", "assistant")
    return [(roles[n % 2], str(n) + "x" * (size - 1)) for n, size in enumerate(sizes)]


def kept(prompt):
    return [message["content"][0] for message in prompt.messages]


async def test_everything_is_sent_if_it_fits():
    prompt = await prompt_from([("system", "s"), *dialogue(30, 30, 30)], model(1000))
    assert kept(prompt) == ["s", "0", "1", "2"]
    assert (prompt.left_out, prompt.messages[0]["role"]) == (0, "system")
    assert prompt.prompt_tokens == 4 * 8 + 1 + 30


async def test_the_oldest_exchanges_are_left_out_and_counted():
    prompt = await prompt_from([("system", "s"), *dialogue(900, 900, 300, 300, 300)], model(800))
    assert kept(prompt) == ["s", "2", "3", "4"]
    assert prompt.left_out == 2


async def test_a_last_message_that_does_not_fit_is_an_error():
    with pytest.raises(ContextTooLong) as caught:
        await prompt_from(dialogue(30, 30, 9000), model(1000))
    assert "Shorten" in caught.value.message


async def test_a_partial_answer_needs_room():
    messages = dialogue(300, 300, 300)
    assert (await prompt_from(messages, model(600))).left_out == 0
    assert (await prompt_from(messages, model(600), partial="y" * 400)).left_out == 2


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=40).filter(lambda x: len(x) % 2))
async def test_as_many_messages_as_fit_are_kept(sizes):
    messages = dialogue(*sizes)
    tested = model(2000)
    room = 2000 - answer_reserve(tested)
    cost = [estimate_tokens(text) + 8 for _, text in messages]
    starts = [n for n in range(0, len(messages), 2) if sum(cost[n:]) <= room]
    if not starts:
        with pytest.raises(ContextTooLong):
            await prompt_from(messages, tested)
        return
    prompt = await prompt_from(messages, tested)
    assert prompt.left_out == starts[0]
    assert [m["content"] for m in prompt.messages] == [text for _, text in messages[starts[0] :]]


async def test_the_servers_own_tokenizer_counts():
    with running_fake_model() as fake:
        own = model(1000, "llamacpp", fake.root + "/llama/v1")
        prompt = await prompt_from(dialogue(2700), own)  # The server counts 4 bytes per token.
        assert prompt.prompt_tokens == (2700 + len("<user>\n")) // 4
        with pytest.raises(ContextTooLong):
            await prompt_from(dialogue(2700), model(1000))


async def test_a_tokenizer_that_never_responds_blocks_nothing_else(monkeypatch, settings):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    monkeypatch.setattr(prompt, "COUNT_LIMIT_S", 0.5)
    asked, ended = [], asyncio.Event()

    async def never(reader, writer):
        asked.append(await reader.readuntil())
        await ended.wait()
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        own = replace(model(2000, "llamacpp"), endpoint=Endpoint("own", url, "k", guarded=True))
        counting = [asyncio.create_task(prompt_from(dialogue(2000), own)) for _ in range(20)]
        while not asked:
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(lambda: "free") == "free"
        assert not any(task.done() for task in counting)
        built = await asyncio.gather(*counting)
        ended.set()
    assert {prompt.prompt_tokens for prompt in built} == {1004}  # half of its bytes


async def test_a_refused_prompt_is_rebuilt_smaller():
    with running_fake_model() as fake:
        tested = model(1000, url=fake.base_url)
        messages = [("user", "[[context=300]] a" + "x" * 900), ("assistant", "y" * 600)]
        messages.append(("user", "[[context=300&tokens=2]] b" + "z" * 600))
        prompt = await prompt_from(messages, tested)
        with pytest.raises(ContextTooLong) as caught:
            _ = [item async for item in stream_answer(tested, prompt)]
        smaller = await prompt_from(messages, smaller_window(tested, prompt, caught.value))
        assert (prompt.left_out, smaller.left_out) == (0, 2)
        items = [item async for item in stream_answer(tested, smaller)]
        assert isinstance(items[-1], Finish)
        await close_clients()


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"error": {"message": "This model's maximum context length is 8192 tokens."}}, 8192),
        ({"error": {"type": "exceed_context_size_error", "n_ctx": 4096, "message": "x"}}, 4096),
        ({"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}, 200000),
        ({"error": {"code": "context_length_exceeded", "message": ""}}, None),
    ],
)
def test_refusals_of_too_long_prompts_are_recognised(body, limit):
    error = classify(400, body)
    assert isinstance(error, ContextTooLong) and isinstance(error, ProviderError)
    assert error.limit_tokens == limit


def test_estimates_are_rather_too_high():
    assert estimate_tokens("") == 0
    assert estimate_tokens("hello world, how are you") >= 6
    assert estimate_tokens("漢字漢字") == 4


# The counts are those of OpenAI's o200k_base.
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The database keeps both by triggers, and refuses, whoever is connected to it.", 16),
        ("def worst_case(price: Price, prompt_tokens: int) -> int:\n    return -(-total // 7)", 24),
        ("3sr9ZyuC1kIdYx0X6lY+GmrZ5iCOcyfyDzuGn8iF7Z0wkSY1dEJYRhM0MTzXVb==", 49),
        ("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", 33),
        ('{"id":17,"v":0.8474337369372327,"w":[1,2,3],"name":"user17"}', 29),
        (r"\sum_{n=1}^{\infty} \frac{1}{n^2} = \frac{\pi^2}{6}", 30),
        ("Бухгалтерские книги сходятся до последней копейки.", 13),
        ("数据库通过触发器保持余额，并拒绝任何更改。", 14),
        ("😀👍🏽🔥✨ 🇩🇪", 10),
    ],
)
def test_estimates_are_near_the_counts_of_a_tokenizer(text, tokens):
    assert 0.85 * tokens <= estimate_tokens(text) <= 2.4 * tokens


@pytest.mark.parametrize(
    "text", ["Some words, 123456 of them.\n", "as it is ", "漢字😀 ", "\x01", "\t\t  "]
)
def test_counting_in_slices_gives_the_same_result(text, monkeypatch):
    long = text * (40_000 // len(text)) + "end"
    in_slices = estimate_tokens(long)
    monkeypatch.setattr(tokens, "SLICE", 10**9)
    assert abs(in_slices - estimate_tokens(long)) <= ("," not in text) * 3


def test_white_space_counts_as_tokens():
    assert estimate_tokens(" " * 16_000) == estimate_tokens("\t" * 16_000) == 1_000
    # Tokenizers have no tokens for runs of these.
    assert min(estimate_tokens(odd * 800) for odd in ("\f\v", "\t ", "\r\v")) >= 800


async def test_messages_far_beyond_the_window_are_not_counted(monkeypatch):
    counted = []
    monkeypatch.setattr(prompt, "estimate_tokens", lambda text: counted.append(text) or len(text))
    built = await prompt_from(dialogue(*[300] * 301), model(1000))
    assert (built.left_out, len(counted)) == (300, 3)


@pytest.mark.parametrize("server", ["", "llamacpp"])
async def test_prompts_many_times_too_long_are_not_put_together(monkeypatch, server):
    sizes = []
    together = prompt.to_alternating

    def noting(messages):
        sizes.append(sum(len(said.text) for said in messages))
        return together(messages)

    monkeypatch.setattr(prompt, "to_alternating", noting)
    built = await prompt_from(dialogue(*[1000] * 401), model(1000, server))
    assert kept(built)[-1] == "4" and built.left_out > 390
    assert max(sizes) <= 1000 * prompt.MAX_ESTIMATE_ERROR * 4


@pytest.mark.parametrize("sizes", [[300] * 1_001, [12_000] * 101])
async def test_few_characters_are_counted_between_two_turns_of_the_loop(monkeypatch, sizes):
    turn, counted = 0, Counter()

    def noting(text):
        counted[turn] += len(text)
        return estimate_tokens(text)

    async def count_turns():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(prompt, "estimate_tokens", noting)
    counting = asyncio.create_task(count_turns())
    await asyncio.sleep(0)
    texts = dialogue(*sizes)
    await prompt_from(texts, model(10_000_000))
    counting.cancel()
    assert sum(counted.values()) == sum(len(text) for _, text in texts)
    assert max(counted.values()) <= tokens.SLICE


async def test_a_message_is_counted_once(monkeypatch):
    counted = []
    monkeypatch.setattr(prompt, "estimate_tokens", lambda text: counted.append(text) or len(text))
    messages = [PromptMessage(*pair) for pair in dialogue(300, 300, 20_000)]
    first = await build_prompt(messages, model(100_000))
    second = await build_prompt([*messages, PromptMessage("assistant", "new")], model(100_000))
    assert len(counted) == 4
    assert second.prompt_tokens == first.prompt_tokens + 3 + tokens.TOKENS_PER_MESSAGE
