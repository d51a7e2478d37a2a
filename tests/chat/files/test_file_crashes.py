"""Kills the web process and the workers (SIGKILL) while files are uploaded and checked: nothing is
lost, stored twice or left over."""

import asyncio
import contextlib
import hashlib
import io
import os
import random
import uuid

import pytest
from PIL import Image

from chat.files.uploads import PART_BYTES
from tests.client import Client
from tests.examples import examples
from tests.fake_model import running_fake_model
from tests.stack import Stack, wait_for

ENV = {"HOLDFAST_VISION_MODELS": "*", "LIMIT_FILES_PER_HOUR_USER": "0"}
UPLOADS = examples(2)


@pytest.fixture(scope="module")
def stack():
    with running_fake_model() as model, Stack(model_url=model.base_url, env=ENV) as running:
        yield running.ensure_ready()


def large_picture():
    """A picture of two parts, whose check takes a while."""
    out = io.BytesIO()
    Image.frombytes("RGB", (1400, 1200), os.urandom(1400 * 1200 * 3)).save(out, "PNG")
    assert PART_BYTES < len(out.getvalue()) < 2 * PART_BYTES
    return out.getvalue()


async def upload(client, data):
    """Upload as the page does: each request is repeated until there is a response."""
    body = {
        "id": str(uuid.uuid4()),
        "name": "noise.png",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    state = (await client.command("POST", "/api/files", body)).json()
    path = f"/api/files/{body['id']}"
    while state["state"] == "uploading":
        for number in sorted({0, 1} - set(state["parts"])):
            part = data[number * PART_BYTES : (number + 1) * PART_BYTES]
            await client.command("PUT", f"{path}/parts/{number}", content=part)
        await client.command("POST", f"{path}/complete")
        state = (await client.command("GET", path)).json()
    async with asyncio.timeout(90):
        while state["state"] == "checking":
            await asyncio.sleep(0.1)
            state = (await client.command("GET", path)).json()
    assert state["state"] == "ready", state
    return state["file"]


async def disturb(stack, dice):
    """Kill one process after another until cancelled."""
    while True:
        await asyncio.sleep(dice.uniform(0.1, 0.9))
        name = dice.choice(["web", "worker-1", "worker-2"])
        with contextlib.suppress(ProcessLookupError, KeyError):
            old = stack.kill(name)
            await asyncio.to_thread(stack.wait_replaced, name, old)


def objects_of(stack):
    root = stack.data / "files" / "files"
    return {
        folder.name: sorted(path.name for path in folder.iterdir()) for folder in root.iterdir()
    }


async def test_uploads_survive_whatever_is_killed(stack):
    dice = random.Random(7)
    data = large_picture()
    async with Client(stack.url) as alice:
        reply = await alice.send("[[tokens=1]] Hello")
        await alice.until(reply, lambda message: message.status == "done")
        disturbing = asyncio.create_task(disturb(stack, dice))
        files = [await upload(alice, data) for _ in range(UPLOADS)]
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
        wait_for(stack.is_ready, 60)
        for file in files:
            served = await alice.command("GET", f"/files/{file['id']}/original")
            assert served.content == data
        # Every step wrote the same objects again, and no part is left.
        wait_for(
            lambda: objects_of(stack) == {f["id"]: ["model", "original", "view"] for f in files},
            30,
        )
