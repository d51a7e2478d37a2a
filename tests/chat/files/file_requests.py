"""Requests about files, as the page sends them, and small files."""

import asyncio
import hashlib
import io
import uuid

from PIL import Image

from chat.files.uploads import PART_BYTES

TEXT = b"The garden has seven apple trees.\n"


def picture(width=40, height=20, color=(200, 30, 30), form="PNG"):
    out = io.BytesIO()
    Image.new("RGB", (width, height), color).save(out, form)
    return out.getvalue()


def announced(data, name="notes.txt", **fields):
    digest = hashlib.sha256(data).hexdigest()
    return {"id": str(uuid.uuid4()), "name": name, "bytes": len(data), "sha256": digest} | fields


async def announce(person, data, name="notes.txt", **fields):
    response = await person.post("/api/files", **announced(data, name, **fields))
    if response.status_code == 200:
        person.user = response.json()["user"]
    return response


async def put_part(person, file_id, number, data):
    path = f"/api/files/{file_id}/parts/{number}"
    return await person.client.put(path, data, content_type="application/octet-stream")


async def complete(person, file_id):
    return await person.post(f"/api/files/{file_id}/complete")


async def state_of(person, file_id):
    return (await person.client.get(f"/api/files/{file_id}")).json()


async def send_parts(person, data, name="notes.txt"):
    """Announce a file and send all parts; returns its id."""
    response = await announce(person, data, name)
    assert response.status_code == 200, response.content
    file_id = response.json()["id"]
    for number, start in enumerate(range(0, len(data), PART_BYTES)):
        response = await put_part(person, file_id, number, data[start : start + PART_BYTES])
        assert response.status_code == 200, response.content
    return file_id


async def upload(person, data, name="notes.txt"):
    """Upload a file and wait for a worker to check it; returns its id."""
    file_id = await send_parts(person, data, name)
    assert (await complete(person, file_id)).status_code == 202
    state = await checked(person, file_id)
    assert state["state"] == "ready", state
    return file_id


async def checked(person, file_id):
    """Wait until a file is checked; returns its state."""
    async with asyncio.timeout(60):
        while (state := await state_of(person, file_id))["state"] == "checking":
            await asyncio.sleep(0.02)
    return state


def code_of(response):
    return response.status_code, response.json()["error"]["code"]


async def upload_with_wav(person, data, wav, name="note.webm"):
    """Upload sound with a WAV of it; returns the state once it is checked."""
    digest = hashlib.sha256(wav).hexdigest()
    body = announced(data, name, wav={"bytes": len(wav), "sha256": digest})
    state = (await person.post("/api/files", **body)).json()
    person.user = state["user"]
    path = f"/api/files/{body['id']}"
    for place, content in (("parts", data), ("wav/parts", wav)):
        await person.client.put(
            f"{path}/{place}/0", content, content_type="application/octet-stream"
        )
    assert (await complete(person, body["id"])).status_code == 202
    return await checked(person, body["id"])


async def transcribed(person, file_id):
    """Wait until the sound is written down, or is not; returns its state."""
    async with asyncio.timeout(30):
        while (state := await state_of(person, file_id))["transcription"] == "waiting":
            await asyncio.sleep(0.02)
    return state


async def ask(person, text="[[tokens=2]] What is it?", **fields):
    message, reply = await person.send(text, **fields)
    assert (await person.settled(reply)).status == "done"
    return message, reply
