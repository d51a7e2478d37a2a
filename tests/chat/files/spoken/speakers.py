"""Spoken answers, as a person asks for them and hears them."""

import asyncio
from urllib.parse import urlencode

from chat.files.spoken.rows import HEADER_BYTES
from chat.models import Speech, StoredFile
from tests.fake_model import pcm_of


def script(**fields):
    return f"[[{urlencode({'tokens': 12, 'audio': 1_200} | fields)}]] Why tides?"


def sound_of(prompt, ms=1_200):
    return pcm_of(prompt, ms)


async def ask(person, text, **fields):
    """Ask, and wait for the end; returns the reply's id and its message."""
    _, reply = await person.send(text, **fields)
    return reply, await person.settled(reply)


async def told(person, reply):
    """Wait until the log has the sound; returns the message."""
    return await person.until(reply, lambda message: message.audio is not None)


async def stored(person, message):
    """The samples of the WAV."""
    served = await person.client.get(f"/files/{message.audio['file']['id']}/original")
    return b"".join([part async for part in served.streaming_content])[HEADER_BYTES:]


async def begun(reply):
    """Wait until the answer has a file that can be heard; returns its id."""
    async with asyncio.timeout(15):
        while (row := await Speech.objects.filter(reply_id=reply).afirst()) is None:
            await asyncio.sleep(0.01)
    return str(row.file_id)


async def heard(person, file_id, position=0, until=None):
    """What `live` sends from this offset to its end, or until it has sent so many bytes."""
    response = await person.client.get(f"/files/{file_id}/live?from={position}")
    assert response.status_code == 200, response.status_code
    sound = bytearray()
    async with asyncio.timeout(30):
        async for piece in response.streaming_content:
            sound += piece
            if until is not None and len(sound) >= until:
                break
    # As Django's server does, in the end.
    response.close()
    await asyncio.sleep(0.01)
    return bytes(sound)


async def files():
    return [row async for row in StoredFile.objects.exclude(state="erased")]
