"""Which models are offered, by several endpoints at once, some of them down."""

import asyncio

import pytest

from chat.catalogue import Catalogue, UnknownModelError, get_catalogue
from chat.endpoints import Endpoint, configured
from chat.model_families import is_chat_model, known_window, pretty_name
from tests.fake_model import running_fake_model

DOWN = Endpoint("ollama", "http://127.0.0.1:9/v1", "x", optional=True)


@pytest.fixture
def fake():
    with running_fake_model() as fake:
        yield fake


@pytest.fixture
def endpoint(fake):
    return Endpoint("openai", fake.base_url, "sk-secret")


async def ids(catalogue):
    return [model.id for model in await catalogue.models()]


async def test_it_lists_chat_models_of_all_endpoints(fake, endpoint):
    fake.list_models("a", "text-embedding-3-small", "whisper-1", "b")
    router = Endpoint("openrouter", fake.root + "/openrouter/v1", "k")
    assert await ids(Catalogue([endpoint, DOWN, router])) == [
        "openai/a", "openai/b", "openrouter/a", "openrouter/b",
    ]  # fmt: skip


async def test_it_knows_windows(fake, endpoint):
    fake.list_models("gpt-4o-mini", "something")
    endpoints = [
        endpoint,
        Endpoint("openrouter", fake.root + "/openrouter/v1", "k"),
        Endpoint("other", fake.root + "/llama/v1", "k"),
        Endpoint("ollama", fake.base_url, "k"),
    ]
    models = {model.id: model for model in await Catalogue(endpoints).models()}
    assert models["openai/gpt-4o-mini"].context_tokens == 128_000
    assert models["openai/something"].context_tokens == 8_192
    assert models["openrouter/something"].max_output_tokens == 4_096
    assert models["openrouter/something"].name == "Fake: something"
    assert models["other/something"].server == "llamacpp"
    assert models["other/something"].continuation == "prefill"
    assert models["ollama/something"].context_tokens == 8_192  # its num_ctx


async def test_a_list_is_read_once_and_kept_while_the_endpoint_is_down(fake, endpoint, monkeypatch):
    fake.list_models("a")
    catalogue = Catalogue([endpoint])
    assert await ids(catalogue) == await ids(catalogue) == ["openai/a"]
    assert fake.state.connections == 1
    catalogue._shelves["openai"].endpoint = DOWN
    monkeypatch.setattr("chat.catalogue.FRESH_S", 0)
    monkeypatch.setattr("chat.catalogue.RETRY_S", 0)
    for _ in range(3):
        assert await ids(catalogue) == ["openai/a"]


async def test_a_hanging_endpoint_does_not_hold_the_page(fake, endpoint):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = Endpoint("other", f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "k")
        async with asyncio.timeout(4):  # the silent one would hold it for longer
            assert await ids(Catalogue([hangs, endpoint]))


async def test_it_finds_a_model_that_is_new(fake, endpoint, monkeypatch):
    monkeypatch.setattr("chat.catalogue.RECENT_S", 0)
    fake.list_models("a")
    catalogue = Catalogue([endpoint])
    await catalogue.models()
    with pytest.raises(UnknownModelError):
        await catalogue.find("openai/b")
    fake.list_models("a", "b")
    assert (await catalogue.find("openai/b")).provider_name == "b"
    for wrong in ("b", "nobody/b", "", "openai/"):
        with pytest.raises(UnknownModelError):
            await catalogue.find(wrong)


async def test_it_trusts_a_known_name_while_the_list_cannot_be_read():
    catalogue = Catalogue([Endpoint("openai", "http://127.0.0.1:9/v1", "k")])
    assert (await catalogue.find("openai/gpt-x")).provider_name == "gpt-x"


async def test_the_default_is_chosen_in_a_known_order(fake, endpoint, settings):
    fake.list_models("first", "gpt-4o", "gpt-4o-mini")
    catalogue = Catalogue([endpoint])
    assert await catalogue.default_id() == "openai/gpt-4o-mini"
    settings.DEFAULT_MODEL = "openai/first"
    assert await catalogue.default_id() == "openai/first"
    settings.DEFAULT_MODEL = "gone"
    assert await catalogue.default_id() == "openai/gpt-4o-mini"
    assert await Catalogue([DOWN]).default_id() is None


def test_endpoints_come_from_the_settings(settings):
    settings.OPENAI_API_KEY = settings.OPENROUTER_API_KEY = settings.OLLAMA_HOST = ""
    settings.OPENAI_BASE_URL, settings.EMBEDDED_MODEL_URL = "https://api.openai.com/v1", ""
    assert [(e.name, e.base_url, e.optional) for e in configured()] == [
        ("ollama", "http://127.0.0.1:11434/v1", True)
    ]
    settings.OPENAI_API_KEY, settings.OPENROUTER_API_KEY = "sk-a", "sk-b"
    settings.EMBEDDED_MODEL_URL = "http://127.0.0.1:1/v1"
    assert [e.name for e in configured()] == ["openai", "openrouter", "local"]
    assert "sk-" not in repr(configured())
    catalogue = get_catalogue()
    assert get_catalogue() is catalogue
    settings.OLLAMA_HOST = "0.0.0.0:8000"
    assert configured()[2].base_url == "http://127.0.0.1:8000/v1"
    assert get_catalogue() is not catalogue


@pytest.mark.parametrize(
    ("name", "pretty"),
    [
        ("smollm2-135m-instruct", "SmolLM2 135M Instruct"),
        ("gpt-4o-mini", "GPT-4o Mini"),
        ("org/Meta-Llama-3.1-8B-Instruct.gguf", "Meta Llama 3.1 8B Instruct"),
        ("llama3.2:latest", "llama3.2"),
    ],
)
def test_names_are_for_people(name, pretty):
    assert pretty_name(name) == pretty


def test_families():
    assert known_window("gpt-4.1-nano") == (1_047_576, 32_768)
    assert known_window("o3-mini")[0] == 200_000
    assert known_window("xyz") == (None, None)
    for name in ("tts-1", "dall-e-3", "omni-moderation-latest", "gpt-4o-realtime", "nomic-embed"):
        assert not is_chat_model(name)
    for name in ("gpt-4o", "Mistral-7B-Instruct", "o3", "qwen3:8b", "claude-sonnet-4.5"):
        assert is_chat_model(name)
