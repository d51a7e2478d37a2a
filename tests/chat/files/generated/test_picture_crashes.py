"""Kills workers (SIGKILL) while pictures of a model arrive and are stored: every answer ends with
its pictures, each of them is stored once, and nothing is left over."""

import asyncio
import contextlib
import random

import pytest

from tests.client import Client
from tests.examples import examples
from tests.fake_model import picture_of, running_fake_model
from tests.stack import Stack, wait_for

ENV = {"HOLDFAST_PICTURE_MODELS": "*"}
ANSWERS = examples(4)


@pytest.fixture(scope="module")
def model():
    with running_fake_model() as running:
        yield running


@pytest.fixture(scope="module")
def stack(model):
    with Stack(model_url=model.base_url, env=ENV) as running:
        yield running.ensure_ready()


async def disturb(stack, dice):
    """Kill one worker after another until cancelled."""
    while True:
        await asyncio.sleep(dice.uniform(0.2, 1.5))
        name = dice.choice(["worker-1", "worker-2"])
        with contextlib.suppress(ProcessLookupError, KeyError):
            old = stack.kill(name)
            await asyncio.to_thread(stack.wait_replaced, name, old)


def objects_of(stack):
    root = stack.data / "files" / "files"
    return {
        folder.name: sorted(path.name for path in folder.iterdir()) for folder in root.iterdir()
    }


async def test_pictures_survive_whatever_is_killed(stack, model):
    dice = random.Random(11)
    async with Client(stack.url) as alice:
        first = await alice.send("[[tokens=1]] Hello")
        await alice.until(first, lambda message: message.status == "done")
        disturbing = asyncio.create_task(disturb(stack, dice))
        script = "[[tokens=3&images=2&image_ms=200&image_bytes=400000]]"
        answers = []
        for number in range(ANSWERS):
            reply = await alice.send(f"{script} {number}")
            answers.append(await alice.until(reply, lambda message: message.status == "done"))
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
        wait_for(stack.is_ready, 60)
        # The prompts also name the earlier pictures.
        prompts = {request["prompt"] for request in model.requests}
        bought = {picture_of(prompt, n, 400_000) for prompt in prompts for n in range(2)}
        kept = []
        for answer in answers:
            # An answer that was taken over may end with the first picture.
            assert 1 <= len(answer.files) <= 2
            for file in answer.files:
                served = await alice.command("GET", f"/files/{file['id']}/original")
                assert served.content in bought
            kept += answer.files
        assert len({file["sha256"] for file in kept}) == len(kept)
        wait_for(
            lambda: objects_of(stack) == {f["id"]: ["model", "original", "view"] for f in kept}, 30
        )
