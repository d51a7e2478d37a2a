"""Kills the workers (SIGKILL) while speech is written down: each sound gets its transcription,
which is charged once."""

import asyncio
import contextlib
import hashlib
import json
import random
import uuid

import pytest

from chat.files.uploads import PART_BYTES
from tests.chat.files.sounds import tone
from tests.client import Client
from tests.data_folders.write import rows
from tests.examples import examples
from tests.fake_model import running_fake_model
from tests.stack import Stack, wait_for

MODEL = "openrouter/whisper?says=Hello&headers_ms=400&usage=seconds&of=1"
SOUNDS = examples(3)
USAGE = "SELECT key, charged_micro_usd FROM billing_usage WHERE purpose = 'transcription'"
CHARGED = "SELECT -SUM(amount_micro_usd) FROM billing_ledgerentry WHERE kind = 'charge'"


@pytest.fixture
def stack():
    with running_fake_model() as model:
        env = {
            "HOLDFAST_TRANSCRIPTION": MODEL,
            "HOLDFAST_TRANSCRIPTION_USD_PER_MINUTE": "0.006",
            "OPENROUTER_API_KEY": "sk-or",
            "OPENROUTER_BASE_URL": model.openrouter_url,
            "LIMIT_FILES_PER_HOUR_USER": "0",
        }
        with Stack(model_url=model.base_url, env=env) as running:
            yield running.ensure_ready()


async def upload(client, data):
    body = {
        "id": str(uuid.uuid4()),
        "name": "note.wav",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert len(data) < PART_BYTES
    await client.command("POST", "/api/files", body)
    await client.command("PUT", f"/api/files/{body['id']}/parts/0", content=data)
    await client.command("POST", f"/api/files/{body['id']}/complete")
    return body["id"]


async def text_of(client, file_id):
    async with asyncio.timeout(120):
        while True:
            state = (await client.command("GET", f"/api/files/{file_id}")).json()
            if state.get("transcription") not in (None, "waiting"):
                return state.get("text")
            await asyncio.sleep(0.1)


async def disturb(stack, dice):
    """Kill one worker after another until cancelled."""
    while True:
        await asyncio.sleep(dice.uniform(0.2, 1.2))
        name = dice.choice(["worker-1", "worker-2"])
        with contextlib.suppress(ProcessLookupError, KeyError):
            old = stack.kill(name)
            await asyncio.to_thread(stack.wait_replaced, name, old)


async def test_each_sound_is_written_down_and_charged_once(stack):
    dice = random.Random(11)
    async with Client(stack.url) as alice:
        disturbing = asyncio.create_task(disturb(stack, dice))
        ids = [await upload(alice, tone(1.0 + n / 10)) for n in range(SOUNDS)]
        await asyncio.sleep(4)
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
        wait_for(stack.is_ready, 60)
        assert [await text_of(alice, file_id) for file_id in ids] == ["Hello"] * SOUNDS
    booked = rows(stack.data, USAGE)
    assert sorted(key for key, _ in booked) == sorted(f"transcription:{i}:1:0" for i in ids)
    assert rows(stack.data, CHARGED) == [(sum(charged for _, charged in booked),)]
    audit = json.loads(stack.manage("audit_ledger", "--json").stdout)
    assert audit["differences"] == []
