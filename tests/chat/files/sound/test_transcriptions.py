"""Transcriptions in the log, in the search and in exports, and that nothing is left of them."""

import asyncio

import pytest

from chat.files.transcribing import telling
from chat.models import MessageText, Reply, Transcription
from tests.chat.files.file_requests import ask, transcribed, upload
from tests.chat.files.sound.sounds import tone
from tests.chat.workers import working

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def means(settings):
    settings.TRANSCRIPTION = "openai/whisper?says=Good marmalade"


async def captioned(person, message, text="Good marmalade"):
    """Wait until the file of the message has this transcription in the log."""
    async with asyncio.timeout(30):
        while (await file_of(person, message)).get("text") != text:
            await asyncio.sleep(0.05)


async def file_of(person, message):
    [file] = (await person.transcript()).messages[message].files
    return file


async def found(person, words):
    return (await person.client.get("/api/search", {"q": words})).json()["results"]


async def found_soon(person, words, *, is_there=True):
    async with asyncio.timeout(30):
        while bool(await found(person, words)) != is_there:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("is_first", [True, False])
async def test_the_chat_gets_it_whichever_comes_last(no_worker, alice, settings, is_first):
    if not is_first:
        settings.TRANSCRIPTION += "&headers_ms=2500"
    settings.HEARING_MODELS = ["known"]  # So that the answer does not wait.
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        if is_first:
            await transcribed(alice, file_id)
        message, reply = await ask(alice, files=[file_id])
        await captioned(alice, message)
        again, _ = await ask(alice, files=[file_id], parent=reply)
        assert (await file_of(alice, again))["text"] == "Good marmalade"
    assert not await Transcription.objects.filter(is_untold=True).aexists()


async def test_the_message_comes_first(no_worker, alice):
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        message, reply = await ask(alice, files=[file_id])
        await captioned(alice, message)
    await Transcription.objects.filter(file_id=file_id).aupdate(is_untold=True)
    await Reply.objects.filter(id=reply).aupdate(outbox={"is": "there"})
    await telling.tell_all()
    assert await Transcription.objects.filter(is_untold=True).aexists()
    await Reply.objects.filter(id=reply).aupdate(outbox=None)
    await telling.tell_all()
    assert not await Transcription.objects.filter(is_untold=True).aexists()


async def test_telling_twice_is_harmless(no_worker, alice):
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        message, _ = await ask(alice, files=[file_id])
        await captioned(alice, message)
    before = (await alice.transcript()).cursor
    await Transcription.objects.filter(file_id=file_id).aupdate(is_untold=True)
    await telling.tell_all()
    assert (await alice.transcript()).cursor == before


async def test_it_is_found_until_the_sound_is_deleted(no_worker, alice):
    async with working():
        _, reply = await ask(alice, "[[tokens=2]] Something else")
        file_id = await upload(alice, tone(), "note.wav")
        message, reply = await ask(alice, "[[tokens=2]] Listen", files=[file_id], parent=reply)
        await found_soon(alice, "marmalade")
        [result] = await found(alice, "marmalade")
        assert message in str(result)
        await found_soon(alice, "Listen")
        await alice.client.post(f"/settings/files/{file_id}/delete")
        await found_soon(alice, "marmalade", is_there=False)
        # The chat is indexed again.
        await found_soon(alice, "Listen")
        await found_soon(alice, "note.wav")
        file = await file_of(alice, message)
        assert file["erased"] and "text" not in file
    assert not await Transcription.objects.aexists()
    texts = [row.text async for row in MessageText.objects.all()]
    assert not any("marmalade" in text for text in texts)


async def test_the_download_of_a_chat_has_it(no_worker, alice):
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        message, _ = await ask(alice, files=[file_id])
        await captioned(alice, message)
    response = await alice.client.get(f"/api/chats/{alice.chat}/export", {"format": "md"})
    assert "- File: note.wav\n  > Good marmalade\n" in response.content.decode()
