"""Calls over real HTTP to a scripted model: answers, faults, cancelling."""

import asyncio
import contextlib
import re
import time

import pytest

from chat.llm.client import Delta, Finish, close_clients, stream_answer
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import SENTENCES, ContextTooLong, ProviderError
from tests.chat.llm.http.certificates import self_signed
from tests.chat.llm.prompts import prompt_of
from tests.fake_model import reasoning_of, running_fake_model, text_of


@pytest.fixture(scope="module")
def fake():
    with running_fake_model() as fake:
        yield fake


@pytest.fixture
async def model(fake):
    fake.reset()
    endpoint = Endpoint("openai", fake.base_url, "sk-secret")
    yield Model("openai/script/known", "Known", endpoint, 8192)
    await close_clients()


async def answer(model, text, partial=""):
    """(text, reasoning, finish, deltas) of a complete answer."""
    items = [item async for item in stream_answer(model, prompt_of(text), partial=partial)]
    assert isinstance(items[-1], Finish)
    assert all(isinstance(item, Delta) and (item.text or item.reasoning) for item in items[:-1])
    text = "".join(item.text for item in items[:-1])
    text.encode()  # no lone surrogate
    return text, "".join(item.reasoning for item in items[:-1]), items[-1], items[:-1]


async def failure(model, text, partial=""):
    """(the error, the text before it)."""
    came = ""
    with pytest.raises(ProviderError) as caught:
        async for item in stream_answer(model, prompt_of(text), partial=partial):
            came += item.text if isinstance(item, Delta) else ""
    assert str(caught.value) == SENTENCES[caught.value.code]
    return caught.value, came


@pytest.mark.parametrize("mode", ["words", "code", "unicode"])
@pytest.mark.parametrize("wire", ["", "&split=1", "&split=7", "&gzip=1", "&per_chunk=5"])
async def test_the_answer_is_exact(model, mode, wire):
    size = 5 if "split" in wire else 40
    question = f"[[mode={mode}&tokens={size}{wire}]] Hi"
    text, reasoning, finish, _ = await answer(model, question)
    assert (text, reasoning) == (text_of(question, size, mode), "")
    assert finish.reason == "stop"
    assert finish.usage.completion_tokens == size
    assert not finish.usage.estimated


async def test_the_chunks_of_one_read_become_one_delta(model):
    text, _, _, deltas = await answer(model, "[[tokens=20000]] Quick")
    assert text == text_of("[[tokens=20000]] Quick", 20000)
    assert len(deltas) < 3000


async def test_the_first_token_is_not_held_back(model):
    question = prompt_of("[[stall_after=1&tokens=9]] a")
    async with contextlib.aclosing(stream_answer(model, question)) as stream:
        async with asyncio.timeout(10):
            assert (await anext(stream)).text == text_of("[[stall_after=1&tokens=9]] a", 1)


@pytest.mark.parametrize("style", ["reasoning", "reasoning_content", "think", "details"])
@pytest.mark.parametrize("wire", ["", "&split=11"])
async def test_reasoning_and_text_are_separated(model, style, wire):
    question = f"[[reasoning=9&tokens=9&style={style}{wire}]] Why"
    text, reasoning, finish, _ = await answer(model, question)
    assert (text, reasoning) == (text_of(question, 9), reasoning_of(question, 9))
    assert finish.usage.reasoning_tokens == 9


async def test_surrogates_are_joined_and_lone_ones_replaced(model):
    text, *_ = await answer(model, "[[surrogates=1&lone=1&tokens=0]] Hi")
    assert text == "a😀ba\ufffdb"


async def test_invalid_utf8_is_replaced(model):
    text, *_ = await answer(model, "[[bad_utf8_after=2&tokens=2]] Hi")
    assert text.endswith("caf\ufffd")


async def test_a_huge_chunk_is_split_into_deltas(model):
    text, _, _, deltas = await answer(model, "[[huge=300000&tokens=0]] Hi")
    assert text == "x" * 300_000
    assert max(len(delta.text) for delta in deltas) <= 16_384


@pytest.mark.parametrize(
    ("script", "code", "permanent", "text"),
    [
        ("status=400", "bad_request", True, ""),
        ("status=401", "provider_auth", True, ""),
        ("status=402", "provider_credit", True, ""),
        ("status=403", "provider_auth", True, ""),
        ("status=404", "model_not_found", True, ""),
        ("status=408", "provider_timeout", False, ""),
        ("status=429", "rate_limited", False, ""),
        ("status=429&error_type=insufficient_quota", "provider_credit", True, ""),
        ("status=500", "provider_down", False, ""),
        ("status=502&html=1", "provider_down", False, ""),
        ("status=529", "provider_down", False, ""),
        ("redirect=http://localhost:1/", "bad_stream", True, ""),
        ("html_200=1", "bad_stream", True, ""),
        ("context=5", "context_too_long", True, ""),
        ("die_after=0", "stream_cut", False, ""),
        ("die_after=3", "stream_cut", False, "3"),
        ("cut_after=3", "stream_cut", False, "3"),
        ("cut_after=0", "empty_answer", False, ""),
        ("reasoning=4&style=think&no_finish=1&no_done=1&tokens=3", "stream_cut", False, "3"),
        ("no_finish=1&no_done=1&tokens=3", "stream_cut", False, "3"),
        ("malformed_after=3", "bad_stream", False, "3"),
        ("error_after=3", "provider_down", False, "3"),
        ("error_after=0&error_code=429", "rate_limited", False, ""),
        ("error_after=3&error_code=401", "provider_auth", True, "3"),
        ("huge=5000000", "bad_stream", False, ""),
    ],
)
async def test_every_fault_has_its_code(model, fake, script, code, permanent, text):
    question = f"[[{script}]] Hi"
    error, came = await failure(model, question)
    assert (error.code, error.permanent) == (code, permanent)
    if not code.startswith("stream_cut") or text:
        assert came == text_of(question, int(text or 0))
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("script", "seconds", "permanent"),
    [("retry_after=7", 7, False), ("retry_date=9", 9, False), ("retry_after=900", 900, True),
     ("retry_after=soon", None, False)],
)  # fmt: skip
async def test_the_wait_that_a_provider_asks_for_is_passed_on(model, script, seconds, permanent):
    error, _ = await failure(model, f"[[status=429&{script}]] Hi")
    assert error.retry_after_s == pytest.approx(seconds, abs=1.5)
    assert error.permanent is permanent


async def test_an_unreachable_provider_is_reported(model):
    endpoint = Endpoint("openai", "http://127.0.0.1:9/v1", "none")
    error, _ = await failure(Model("openai/x", "X", endpoint, 8192), "Hi")
    assert (error.code, error.permanent) == ("provider_down", False)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("headers_ms=5000", "provider_timeout"),
        ("first_ms=5000", "provider_timeout"),
        ("stall_after=2", "stream_stalled"),
        ("first_ms=9000&comment_ms=50", "provider_timeout"),
        ("stall_after=2&comment_ms=50", "stream_stalled"),
    ],
)
async def test_silence_ends_the_call(model, settings, script, code):
    settings.MODEL_FIRST_TOKEN_TIMEOUT_MS = 200
    settings.MODEL_STALL_TIMEOUT_MS = 150
    began = time.monotonic()
    error, _ = await failure(model, f"[[{script}]] Hi")
    assert error.code == code
    # Comments extend the limit, but not forever. An upper bound would depend on this machine.
    assert time.monotonic() - began > (0.7 if "comment" in script else 0.14)


async def test_comments_extend_the_time_limit(model, settings):
    settings.MODEL_FIRST_TOKEN_TIMEOUT_MS = 200
    question = "[[first_ms=400&comment_ms=40&tokens=3]] Hi"
    assert (await answer(model, question))[0] == text_of(question, 3)


@pytest.mark.parametrize(
    "script", ["no_done=1", "no_usage=1", "no_usage=1&no_done=1", "no_finish=1"]
)
async def test_a_finish_reason_is_enough(model, script):
    question = f"[[tokens=5&{script}]] Hi"
    text, _, finish, _ = await answer(model, question)
    assert (text, finish.reason) == (text_of(question, 5), "stop")
    assert finish.usage.estimated == ("no_usage" in script)
    assert finish.usage.prompt_tokens > 0


async def test_other_finish_reasons_are_passed_on(model):
    assert (await answer(model, "[[finish=length&tokens=2]] Hi"))[2].reason == "length"
    assert (await answer(model, "[[finish=max_tokens&tokens=2]] Hi"))[2].reason == "length"


@pytest.mark.parametrize(
    ("cost", "micro_usd"),
    [("0.00123", 1230), ("0.0000001", 1), ("1e-7", 1), ("0", 0), ("2", 2_000_000)],
)
async def test_the_cost_is_rounded_up(model, cost, micro_usd):
    finish = (await answer(model, f"[[cost={cost}&tokens=2]] Hi"))[2]
    assert finish.usage.cost_micro_usd == micro_usd


async def test_endpoints_that_refuse_stream_options_are_remembered(model, fake):
    for _ in range(2):
        await answer(model, "[[usage_400=1&tokens=2]] Hi")
    assert ["stream_options" in r["body"] for r in fake.requests] == [True, False, False]


async def test_models_that_rename_the_token_limit_are_remembered(model, fake):
    for _ in range(2):
        prompt = prompt_of("[[limit_400=1&tokens=9]] Hi")
        items = [item async for item in stream_answer(model, prompt, max_tokens=5)]
        assert items[-1].reason == "length"
    asked = [
        (r["body"].get("max_tokens"), r["body"].get("max_completion_tokens")) for r in fake.requests
    ]
    assert asked == [(5, None), (None, 5), (None, 5)]


async def test_a_prompt_over_the_providers_limit_is_too_long(model):
    with pytest.raises(ContextTooLong):
        await answer(model, "[[context=1]] Hi")


async def test_closing_the_stream_ends_the_call(model, fake):
    stream = stream_answer(model, prompt_of("[[rate=50&tokens=5000]] Long"))
    await anext(stream)
    await stream.aclose()
    await disconnected(fake)


@pytest.mark.parametrize("script", ["rate=50&tokens=5000", "headers_ms=60000", "first_ms=60000"])
async def test_cancelling_the_task_ends_the_call(model, fake, script):
    task = asyncio.create_task(answer(model, f"[[{script}]] Long"))
    async with asyncio.timeout(10):
        while not fake.requests:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await disconnected(fake)


async def disconnected(fake):
    async with asyncio.timeout(10):
        while not fake.report()["disconnects"]:
            await asyncio.sleep(0.005)


async def test_connections_are_reused_and_concurrent(model, fake):
    questions = [f"[[together=100&rate=100&tokens=20]] {n}" for n in range(100)]
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(answer(model, question) for question in questions))
    assert [text for text, *_ in answers] == [text_of(question, 20) for question in questions]
    before = fake.state.connections
    for n in range(5):
        await answer(model, f"[[tokens=3]] again {n}")
    assert fake.state.connections == before


async def test_a_slow_reader_pauses_the_model(model, fake):
    async with contextlib.aclosing(
        stream_answer(model, prompt_of("[[tokens=300000]] Much"))
    ) as stream:
        await anext(stream)
        await asyncio.sleep(0.3)
        assert fake.report()["requests"][0]["sent"] < 100_000


async def test_a_proxy_in_the_environment_is_used(fake, monkeypatch):
    fake.reset()
    monkeypatch.setenv("http_proxy", fake.root)
    endpoint = Endpoint("openai", "http://model.invalid/v1", "sk-secret")
    question = "[[tokens=40]] Hi"
    text, *_ = await answer(Model("openai/script/known", "Known", endpoint, 8192), question)
    assert text == text_of(question, 40)
    await close_clients()


async def test_tls_certificates_are_checked(model, monkeypatch, tmp_path):
    certificate, context = self_signed(tmp_path)
    with running_fake_model(tls=context) as secure:
        endpoint = Endpoint("openai", secure.base_url.replace("http:", "https:"), "sk-secret")
        other = Model("openai/script/known", "Known", endpoint, 8192)
        assert (await failure(other, "[[tokens=3]] Hi"))[0].code == "provider_down"
        await close_clients()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert (await answer(other, "[[tokens=3]] Hi"))[0] == text_of("[[tokens=3]] Hi", 3)
        await close_clients()


async def test_errors_never_quote_the_key_or_the_provider(model, caplog):
    caplog.set_level("DEBUG", logger="chat")
    error, _ = await failure(model, "[[status=401]] Hi")
    assert "secret" not in repr(error) + str(error) + repr(model) + caplog.text


async def test_only_the_client_imports_openai():
    from pathlib import Path

    root = Path(__file__).parents[3]
    importers = {
        path.name
        for folder in ("accounts", "chat", "config", "streams")
        for path in (root / folder).rglob("*.py")
        if re.search(r"^\s*(import|from) openai", path.read_text(), re.MULTILINE)
    }
    assert importers == {"client.py"}


@pytest.mark.parametrize("key", ["sk-abc\u2026def", "sk-abc\r\nX-Evil: 1", "sk abc", "", "sk-\x00"])
async def test_a_key_that_is_no_header_value_is_not_sent(fake, key):
    fake.reset()
    endpoint = Endpoint("openai", fake.base_url, key)
    error, _ = await failure(Model("openai/script/known", "Known", endpoint, 8192), "Hi")
    assert (error.code, error.permanent, fake.requests) == ("provider_auth", True, [])


async def test_the_operators_account_is_sent_to_openai_only(fake, settings, monkeypatch):
    settings.OPENAI_ORG_ID, settings.OPENAI_PROJECT_ID = "org-1", "proj-1"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gate: secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-environment")
    fake.reset()
    endpoints = [
        Endpoint("openai", fake.base_url, "sk-a"),
        Endpoint("openrouter", fake.openrouter_url, "sk-b"),
        Endpoint("ollama", fake.base_url, "sk-c"),
        Endpoint("my-openai", fake.base_url, "sk-d", owner="a" * 32, own_provider="openai"),
    ]
    for endpoint in endpoints:
        await answer(Model(f"{endpoint.name}/script/known", "K", endpoint, 8192), "[[tokens=1]] a")
    await close_clients()
    account_headers = [
        [asked["headers"].get(name) for name in ("openai-organization", "openai-project", "x-gate")]
        for asked in fake.requests
    ]
    assert account_headers == [["org-1", "proj-1", "secret"]] + [[None] * 3] * 3
    assert [asked["headers"].get("x-title") for asked in fake.requests][1] == "Holdfast"
