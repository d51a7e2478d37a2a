"""The models of several endpoints, some of which are down."""

import asyncio

import pytest
from django.core.exceptions import ImproperlyConfigured

from chat.llm.catalogue import Catalogue, UnknownModelError, get_catalogue, reset_catalogue
from chat.llm.endpoints import Endpoint, configured_endpoints
from chat.llm.families import (
    DEFAULT_CONTEXT_TOKENS,
    is_chat_model,
    longest_answer,
    pretty_name,
    usual_window,
)
from chat.llm.listing import fetch_models, models_from_entries
from config.env_models import named_models
from tests.fake_model import running_fake_model
from tests.stub_model import stub_model

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


async def test_it_lists_the_chat_models_of_all_endpoints(fake, endpoint):
    fake.list_models("a", "text-embedding-3-small", "whisper-1", "b")
    router = Endpoint("openrouter", fake.root + "/openrouter/v1", "k")
    assert await ids(Catalogue([endpoint, DOWN, router])) == [
        "openai/a", "openai/b", "openrouter/a", "openrouter/b",
    ]  # fmt: skip


async def test_it_knows_the_windows_of_models(fake, endpoint):
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
    catalogue._lists["openai"].endpoint = DOWN
    monkeypatch.setattr("chat.llm.catalogue.FRESH_S", 0)
    monkeypatch.setattr("chat.llm.catalogue.RETRY_S", 0)
    for _ in range(3):
        assert await ids(catalogue) == ["openai/a"]


async def test_a_hanging_endpoint_does_not_delay_the_page(fake, endpoint):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = Endpoint("other", f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "k")
        async with asyncio.timeout(4):  # The silent endpoint would take longer.
            assert await ids(Catalogue([hangs, endpoint]))


async def test_it_finds_a_new_model(fake, endpoint, monkeypatch):
    monkeypatch.setattr("chat.llm.catalogue.RECENT_S", 0)
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


async def test_any_name_is_accepted_while_the_list_cannot_be_read():
    catalogue = Catalogue([Endpoint("openai", "http://127.0.0.1:9/v1", "k")])
    assert (await catalogue.find("openai/gpt-x")).provider_name == "gpt-x"


async def test_the_default_is_chosen_by_preference(fake, endpoint, settings):
    fake.list_models("first", "gpt-5", "gpt-4o", "gpt-4o-mini")
    catalogue = Catalogue([endpoint])
    assert await catalogue.default_id() == "openai/gpt-4o-mini"
    settings.DEFAULT_MODEL = "openai/first"
    assert await catalogue.default_id() == "openai/first"
    settings.DEFAULT_MODEL = "gone"
    assert await catalogue.default_id() == "openai/gpt-4o-mini"
    assert await Catalogue([DOWN]).default_id() is None


async def test_the_default_is_the_cheapest_of_a_list_with_prices(fake):
    fake.list_models("dear", "varies", "cheap", "gift")
    fake.price("dear", {"prompt": "0.00001", "completion": "0.00002"})
    fake.price("varies", {"prompt": "-1", "completion": "-1"})
    fake.price("cheap", {"prompt": "0.000001", "completion": "0.000002"})
    fake.price("gift", {"prompt": "0", "completion": "0"})
    endpoint = Endpoint("openrouter", fake.openrouter_url, "sk-or")
    assert await Catalogue([endpoint]).default_id() == "openrouter/cheap"


def test_endpoints_come_from_the_settings(settings):
    settings.OPENAI_API_KEY = settings.OPENROUTER_API_KEY = settings.OLLAMA_HOST = ""
    settings.OPENAI_BASE_URL, settings.EMBEDDED_MODEL_URL = "https://api.openai.com/v1", ""
    assert [(e.name, e.base_url, e.optional) for e in configured_endpoints()] == [
        ("ollama", "http://127.0.0.1:11434/v1", True)
    ]
    settings.OPENAI_API_KEY, settings.OPENROUTER_API_KEY = "sk-a", "sk-b"
    settings.EMBEDDED_MODEL_URL = "http://127.0.0.1:1/v1"
    assert [e.name for e in configured_endpoints()] == ["openai", "openrouter", "local"]
    assert "sk-" not in repr(configured_endpoints())
    catalogue = get_catalogue()
    assert get_catalogue() is catalogue
    settings.OLLAMA_HOST = "0.0.0.0:8000"
    assert configured_endpoints()[2].base_url == "http://127.0.0.1:8000/v1"
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
def test_names_are_made_readable(name, pretty):
    assert pretty_name(name) == pretty


def test_families():
    assert longest_answer("openai/gpt-4.1-nano") == 32_768
    assert longest_answer("xyz") is None
    for name in ("tts-1", "dall-e-3", "omni-moderation-latest", "gpt-4o-realtime", "nomic-embed"):
        assert not is_chat_model(name)
    for name in ("gpt-4o", "Mistral-7B-Instruct", "o3", "qwen3:8b", "claude-sonnet-4.5"):
        assert is_chat_model(name)


@pytest.mark.parametrize(
    ("name", "base_url", "tokens"),
    [
        ("o3-mini", "https://api.openai.com/v1", 200_000),
        ("claude-haiku-4-5", "https://api.anthropic.com/v1", 200_000),
        ("grok-4-fast-reasoning", "https://api.x.ai/v1", 2_000_000),
        # Names of a family are assumed to be the maker's model elsewhere.
        ("azure/o3-mini", "https://gateway.example.org/v1", 200_000),
        ("gemma-4-31b-it", "https://gateway.example.org/v1", DEFAULT_CONTEXT_TOKENS),
        ("xyz", "https://api.openai.com/v1", DEFAULT_CONTEXT_TOKENS),
        # 400,000, of which 128,000 are reserved for the answer.
        ("gpt-5-mini", "https://api.openai.com/v1", 272_000),
        ("gpt-5-chat-latest", "https://api.openai.com/v1", 128_000),
        # genai-prices has this model, without a window.
        ("models/gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta", 1_048_576),
    ],
)
def test_windows_of_models_whose_list_has_none(name, base_url, tokens):
    assert usual_window(name, base_url) == tokens


# Services without a list


@pytest.fixture
def stub():
    with stub_model() as model:
        yield model


HTML = (200, "text/html", b"<html>hi</html>")


@pytest.mark.parametrize(
    "listing",
    [
        None,
        HTML,
        (200, "application/json", b'{"data": []}'),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"data": null}'),
        (200, "application/json", b"null"),
        (401, "application/json", b"{}"),
        (405, "text/plain", b"no"),
        (500, "application/json", b"{}"),
        (200, "application/json", b'{"data": [{"id": ""}, {}, 7, {"id": null}]}'),
    ],
)
@pytest.mark.parametrize("wanted", ["openai/sonar-pro", "sonar-pro"])
async def test_the_default_exists_if_the_service_has_no_list(stub, settings, listing, wanted):
    stub.listing, settings.DEFAULT_MODEL = listing, wanted
    catalogue = Catalogue([Endpoint("openai", stub.base_url, "k"), DOWN])
    assert await ids(catalogue) == ["openai/sonar-pro"]
    assert await catalogue.default_id() == "openai/sonar-pro"
    assert (await catalogue.find("openai/sonar-pro")).name == "Sonar Pro"


async def test_a_slow_list_does_not_hide_the_default(stub, settings):
    stub.lists({"data": [{"id": "a"}]})
    stub.listing_takes_s, settings.DEFAULT_MODEL = 3.0, "openai/a"
    assert await ids(Catalogue([Endpoint("openai", stub.base_url, "k")])) == ["openai/a"]


async def test_a_default_that_is_missing_in_its_list_is_ignored(stub, settings):
    stub.lists({"data": [{"id": "a"}]})
    settings.DEFAULT_MODEL = "openai/gone"
    gone = Endpoint("openrouter", "http://127.0.0.1:9/v1", "k")
    catalogue = Catalogue([Endpoint("openai", stub.base_url, "k"), gone])
    assert (await ids(catalogue), await catalogue.default_id()) == (["openai/a"], "openai/a")
    settings.DEFAULT_MODEL = "gone/from/here"  # not an endpoint, but a name with slashes
    assert await ids(catalogue) == ["openai/a", "openrouter/gone/from/here"]


async def test_no_model_is_assumed_for_an_absent_ollama(settings):
    settings.DEFAULT_MODEL = "ollama/qwen3"
    assert await ids(Catalogue([DOWN])) == []


@pytest.mark.parametrize("is_listed", [True, False])
async def test_models_named_in_the_settings_replace_the_list(stub, is_listed):
    if is_listed:
        stub.lists({"data": [{"id": "other"}, {"id": "sonar", "context_length": 64_000}]})
    named = (("sonar-pro", 200_000), ("sonar", None), ("whisper-chat", None))
    catalogue = Catalogue([Endpoint("openai", stub.base_url, "k", named=named)])
    models = await catalogue.models()
    assert [(model.provider_name, model.context_tokens) for model in models] == [
        ("sonar-pro", 200_000),
        ("sonar", 64_000 if is_listed else 8_192),
        ("whisper-chat", 8_192),
    ]
    assert await catalogue.default_id() == "openai/sonar-pro"


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ([{"id": "a"}, {"id": "b"}], ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        ({"data": ["a", {"id": "b"}, {"id": "a"}, "b"]}, ["a", "b"]),
        ({"models": [{"name": "a"}, {"model": "b"}]}, ["a", "b"]),
        ({"object": "list", "data": None, "models": [{"id": "a"}]}, ["a"]),
        ({"result": [{"id": "x", "name": "@cf/meta/llama"}]}, ["x"]),
        ({"data": {"models": [{"id": "a"}]}}, ["a"]),
        (
            {"data": [{"id": " a "}, {"id": "b\n\x00c"}, {"id": "x" * 999}, {"object": "model"}]},
            ["a"],
        ),
        ({"data": [{"id": "a", "created": "2026-01-01"}, {"id": "b", "created": 3}]}, ["a", "b"]),
        ({"data": [{"id": "a", "context_length": True, "architecture": 7}]}, ["a"]),
    ],
)
async def test_it_reads_lists_in_other_forms(stub, document, names):
    stub.lists(document)
    catalogue = Catalogue([Endpoint("other", stub.base_url, "k")])
    assert await ids(catalogue) == [f"other/{name}" for name in names]


async def test_a_missing_list_is_logged_once(stub, monkeypatch, caplog):
    monkeypatch.setattr("chat.llm.catalogue.RETRY_S", 0)
    catalogue = Catalogue([Endpoint("openai", stub.base_url, "k")])
    for _ in range(3):
        await catalogue.models()
    assert [record.message for record in caplog.records] == [
        "openai: its list of models could not be read: status 404"
    ]


async def test_an_embedded_model_that_is_starting_logs_no_warning(stub, monkeypatch, caplog):
    monkeypatch.setattr("chat.llm.catalogue.STARTING_RETRY_S", 0)
    stub.listing = (503, "application/json", b'{"error": {"message": "Loading model"}}')
    catalogue = Catalogue([Endpoint("local", stub.base_url, "k")])
    for _ in range(2):
        assert await ids(catalogue) == []
    stub.lists({"data": [{"id": "a"}]})
    assert await ids(catalogue) == ["local/a"]
    assert caplog.records == []


async def test_an_embedded_model_is_found_a_moment_after_it_was_not_ready(stub):
    """`up` says that it is ready as soon as the model is, and people open the page then."""
    stub.listing = (503, "application/json", b"{}")
    catalogue = Catalogue([Endpoint("local", stub.base_url, "k")])
    assert await ids(catalogue) == []
    stub.lists({"data": [{"id": "a"}]})
    await asyncio.sleep(0.2)
    assert await ids(catalogue) == ["local/a"]


async def test_an_embedded_model_that_stays_down_is_logged_once(stub, monkeypatch, caplog):
    monkeypatch.setattr("chat.llm.catalogue.RETRY_S", 0)
    monkeypatch.setattr("chat.llm.catalogue.STARTING_RETRY_S", 0)
    stub.listing = (503, "application/json", b"{}")
    catalogue = Catalogue([Endpoint("local", stub.base_url, "k")])
    await catalogue.models()
    assert caplog.records == []
    monkeypatch.setattr("chat.llm.catalogue.STARTING_S", 0)
    for _ in range(3):
        await catalogue.models()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "local: its list of models could not be read: status 503")
    ]


def test_named_models_are_read_from_the_environment():
    assert named_models(
        ["openai/sonar-pro=200000", " openai/a ", "ollama/llama3:8b", "openai/a", ""]
    ) == {
        "openai": [("sonar-pro", 200_000), ("a", None)],
        "ollama": [("llama3:8b", None)],
    }
    for wrong in ("sonar", "nobody/a", "openai/", "openai/a\nb"):
        with pytest.raises(ImproperlyConfigured, match="HOLDFAST_MODELS"):
            named_models([wrong])


async def test_the_page_can_send_to_a_service_without_a_list(worker, alice, settings, stub):
    settings.OPENAI_BASE_URL, settings.DEFAULT_MODEL = stub.base_url, "openai/sonar-pro"
    await reset_catalogue()
    listed = (await alice.client.get("/api/models")).json()
    assert ([model["id"] for model in listed["models"]], listed["default"]) == (
        ["openai/sonar-pro"],
        "openai/sonar-pro",
    )
    _, reply = await alice.send("Hi", model="openai/sonar-pro")
    assert str((await alice.settled(reply)).text) == "Hello"
    settings.NAMED_MODELS = {"openai": [("sonar", None)]}
    listed = (await alice.client.get("/api/models")).json()
    assert [model["id"] for model in listed["models"]] == ["openai/sonar"]


@pytest.mark.parametrize(
    ("entry", "inputs"),
    [
        ({"architecture": {"input_modalities": ["text", "audio"]}}, ("text", "audio")),
        ({"architecture": {"input_modalities": ["text"]}}, ("text",)),
        ({"capabilities": {"vision": True, "audio": True}}, ("text", "image", "audio")),
        ({"capabilities": {"vision": False, "audio": True}}, ("text", "audio")),
        ({"capabilities": {"vision": False}}, ("text",)),
        ({}, ("text",)),
    ],
)
def test_the_list_says_which_models_hear(settings, entry, inputs):
    settings.VISION_MODELS, settings.HEARING_MODELS = [], []
    endpoint = Endpoint("openrouter", "https://openrouter.ai/api/v1", "x")
    [model] = models_from_entries(endpoint, [{"id": "lab/able", **entry}])
    assert model.inputs == inputs
    assert model.without_input("audio").inputs == tuple(k for k in inputs if k != "audio")


def test_a_setting_names_models_that_hear_where_the_list_does_not_say(settings):
    settings.VISION_MODELS, settings.HEARING_MODELS = [], ["*-hears"]
    endpoint = Endpoint("openai", "http://127.0.0.1:1/v1", "x")
    listed = models_from_entries(endpoint, [{"id": "a-hears"}, {"id": "b"}])
    assert [model.hears for model in listed] == [True, False]
    local = Endpoint("local", "http://127.0.0.1:1/v1", "x")
    assert not models_from_entries(local, [{"id": "a-hears"}])[0].hears


@pytest.mark.parametrize(
    ("able", "inputs"),
    [
        (["completion", "audio"], ("text", "audio")),
        (["completion", "vision"], ("text", "image")),
        (["completion"], ("text",)),
    ],
)
def test_ollama_says_which_models_hear(able, inputs):
    with running_fake_model() as fake:
        fake.list_models("small")
        fake.state.capabilities = able
        [model] = fetch_models(Endpoint("ollama", fake.base_url, "ollama"))
    assert model.inputs == inputs
