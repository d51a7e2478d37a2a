"""The real embedded model, in its own process, called with the normal client."""

import asyncio
import contextlib
import http.client
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from django.core.management import CommandError, call_command

from chat.llm.catalogue import Catalogue
from chat.llm.checks import check_usable_model
from chat.llm.client import Finish, close_clients, stream_answer
from chat.llm.embedded import is_installed
from chat.llm.endpoints import Endpoint
from chat.llm.errors import ContextTooLong
from chat.llm.http import idle_connections
from tests.chat.llm.prompts import prompt_from
from tests.fake_model import running_fake_model
from tests.stack import clean_environment

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(not is_installed(), reason="the embedded model is not installed")


MIN_IDLE_S = idle_connections.MIN_IDLE_S
KEY = "of-this-start"


@pytest.fixture(autouse=True)
def rested_connections(monkeypatch, patient_connections):
    """llama.cpp closes its connections after each streamed answer."""
    monkeypatch.setattr(idle_connections, "MIN_IDLE_S", MIN_IDLE_S)


@pytest.fixture(scope="module")
def server():
    argv = [sys.executable, "manage.py", "model", "--port", "0"]
    environment = clean_environment(HOLDFAST_EMBEDDED_MODEL_KEY=KEY)
    with subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.url = process.stdout.readline().decode().split()[-1]
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=5)
            assert (process.returncode, out, err) == (0, b"", b"")


@pytest.fixture
async def model(server):
    endpoint = Endpoint("local", server.url, KEY, "prefill", echoes_prefill=True)
    async with asyncio.timeout(10):
        while not (models := await Catalogue([endpoint]).models()):
            await asyncio.sleep(0.1)
    yield models[0]
    await close_clients()


async def read(model, text, partial="", max_tokens=24):
    prompt = await prompt_from([("user", text)], model, partial=partial)
    items = [
        item
        async for item in stream_answer(
            model, prompt, partial=partial, max_tokens=max_tokens, temperature=0.0
        )
    ]
    assert isinstance(items[-1], Finish)
    return "".join(item.text for item in items[:-1])


async def test_it_requires_the_key_and_refuses_other_origins(model, server):
    """Every program on this machine and every web page in a browser can reach loopback."""
    address = urlsplit(server.url)
    for method, path in [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/props"),
    ]:
        for headers in ({}, {"Authorization": "Bearer none"}, {"Authorization": f"Bearer {KEY}x"}):
            asked = http.client.HTTPConnection(address.hostname, address.port)
            asked.request(method, path, "{}", {"Origin": "https://evil.example", **headers})
            answer = asked.getresponse()
            assert answer.status == 401
            assert not answer.getheader("Access-Control-Allow-Origin")
            asked.close()
    for headers in ({"Authorization": f"Bearer {KEY}"}, {}):
        asked = http.client.HTTPConnection(address.hostname, address.port)
        method = "GET" if headers else "OPTIONS"
        asked.request(method, "/v1/models", headers={"Origin": "https://evil.example", **headers})
        answer = asked.getresponse()
        assert answer.status == 200
        assert not answer.getheader("Access-Control-Allow-Origin")
        asked.close()


async def test_it_is_in_the_catalogue(model):
    assert model.to_dict() == {
        "id": "local/smollm2-135m-instruct",
        "name": "SmolLM2 135M Instruct",
        "context_tokens": 4096,
        "endpoint": "local",
        "own_key": False,
    }
    assert (model.server, model.continuation) == ("llamacpp", "prefill")


async def test_it_continues_a_partial_answer(model):
    whole = await read(model, "Name the seven days of the week.", max_tokens=30)
    cut = whole.index(" ", 20)
    for partial in (whole[:cut], whole[: cut + 1]):
        rest = await read(model, "Name the seven days of the week.", partial, max_tokens=12)
        assert rest.strip()
        assert not rest.startswith(partial[:10])
        assert (partial + rest)[: cut + 12] == whole[: cut + 12]


async def test_closing_the_stream_stops_the_model(model, server):
    prompt = await prompt_from([("user", "Write a very long story.")], model)
    async with contextlib.aclosing(stream_answer(model, prompt)) as stream:
        await anext(stream)
    await asyncio.sleep(0.3)
    process = psutil.Process(server.pid)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(0.5)
    assert sum(process.cpu_times()[:2]) - before < 0.1


async def test_the_servers_tokenizer_decides_what_fits(model):
    turns = [("user", f"{n} " + "word " * 700) for n in range(8)]
    prompt = await prompt_from(turns, model)
    assert 0 < prompt.left_out < 8
    assert 1000 < prompt.prompt_tokens <= 4096 - 1024
    with pytest.raises(ContextTooLong):
        await prompt_from([("user", "long " * 5000)], model)


def test_a_taken_port_is_reported(server):
    port = server.url.split(":")[2].split("/")[0]
    with pytest.raises(CommandError, match="is taken"):
        call_command("model", port=int(port))


def test_no_usable_model_is_an_error(settings):
    settings.OPENAI_API_KEY = settings.OPENROUTER_API_KEY = settings.EMBEDDED_MODEL_URL = ""
    settings.OPENAI_BASE_URL = "https://api.openai.com/v1"
    settings.OLLAMA_HOST = "off"
    settings.EMBEDDED_MODEL = False
    assert [problem.id for problem in check_usable_model(None)] == ["chat.E001"]
    settings.EMBEDDED_MODEL = True
    assert check_usable_model(None) == []
    settings.EMBEDDED_MODEL, settings.OPENAI_API_KEY = False, "sk-x"
    assert check_usable_model(None) == []


def test_a_running_ollama_is_a_usable_model(settings):
    settings.OPENAI_API_KEY = settings.OPENROUTER_API_KEY = settings.EMBEDDED_MODEL_URL = ""
    settings.OPENAI_BASE_URL, settings.EMBEDDED_MODEL = "https://api.openai.com/v1", False
    with running_fake_model() as fake:
        settings.OLLAMA_HOST = fake.root
        assert check_usable_model(None) == []
