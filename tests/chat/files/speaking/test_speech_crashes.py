"""Kills the workers (SIGKILL) while answers are read aloud: each is made, and each sentence is paid
once."""

import asyncio
import contextlib
import random

import pytest

from chat.files.speaking.sentences import sentences_of
from tests.client import Client
from tests.data_folders.write import rows
from tests.examples import examples
from tests.fake_model import running_fake_model
from tests.stack import Stack, wait_for

ENV = {
    "HOLDFAST_SPEECH": "openrouter/tts?headers_ms=300&ms=5",
    "HOLDFAST_SPEECH_VOICE": "verse",
    "HOLDFAST_SPEECH_USD_PER_MILLION_CHARACTERS": "15",
    "LIMIT_SPEECH_PER_HOUR_USER": "0",
}
ANSWERS = examples(2)
# Twelve sentences.
ASK = "[[tokens=108]] Tides?"


@pytest.fixture(scope="module")
def stack():
    with running_fake_model() as model:
        keys = {
            "OPENROUTER_API_KEY": "sk-or",
            "OPENROUTER_BASE_URL": model.openrouter_url,
            "HOLDFAST_ALLOW_PRIVATE_MODEL_URLS": "True",
        }
        with Stack(model_url=model.base_url, env=ENV | keys) as running:
            yield running.ensure_ready()


async def disturb(stack, dice):
    """Kill one worker after another until cancelled."""
    while True:
        await asyncio.sleep(dice.uniform(0.3, 0.9))
        name = dice.choice(["worker-1", "worker-2"])
        with contextlib.suppress(ProcessLookupError, KeyError):
            old = stack.kill(name)
            await asyncio.to_thread(stack.wait_replaced, name, old)


def objects_of(stack):
    root = stack.data / "files" / "files"
    return {folder.name: [path.name for path in folder.iterdir()] for folder in root.iterdir()}


async def read_aloud(client, reply):
    path = f"/api/chats/{client.chat}/messages/{reply}/speech"
    state = (await client.command("POST", path, {})).json()
    async with asyncio.timeout(60):
        while state["speech"] == "waiting":
            await asyncio.sleep(0.1)
            state = (await client.command("GET", path)).json()
    return state


async def test_speech_survives_whatever_is_killed(stack):
    dice = random.Random(5)
    states = []
    async with Client(stack.url) as alice:
        for number in range(ANSWERS):
            reply = await alice.send(ASK)
            message = await alice.until(reply, lambda message: message.status == "done")
            disturbing = asyncio.create_task(disturb(stack, dice))
            states.append(await read_aloud(alice, reply))
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
            sentences = sentences_of(str(message.text))
            assert states[-1]["speech"] == "done", number
            assert [span[:2] for span in states[-1]["spans"]] == [
                [sentence.start, sentence.end] for sentence in sentences
            ]
            told = await alice.until(reply, lambda message: message.audio is not None)
            assert told.audio["file"] == states[-1]["file"]
        paid = rows(
            stack.data,
            "SELECT SUM(characters), SUM(charged_micro_usd), COUNT(*) FROM billing_usage"
            " WHERE purpose = 'speech'",
        )
        characters = ANSWERS * sum(len(sentence.words) for sentence in sentences)
        assert paid == [(characters, characters * 15, ANSWERS * len(sentences))]
    wait_for(
        lambda: objects_of(stack) == {state["file"]["id"]: ["original"] for state in states}, 30
    )
