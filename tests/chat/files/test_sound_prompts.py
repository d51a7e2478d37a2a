"""What models get of sound: the sound, its transcription, or a line that says it is missing."""

import base64

import pytest

from chat.files import prompt_files
from tests.chat.files.file_requests import (
    ask,
    last_message,
    texts,
    transcribed,
    upload,
    upload_with_wav,
)
from tests.chat.files.sounds import tone
from tests.chat.workers import working

pytestmark = pytest.mark.django_db(transaction=True)
SAYS = "openai/whisper?says=Good morning"


@pytest.fixture(autouse=True)
def hears(settings):
    settings.HEARING_MODELS = ["known"]


def sounds(message):
    """The sounds of a message in a request: their format and their bytes."""
    if isinstance(message["content"], str):
        return []
    found = [p["input_audio"] for p in message["content"] if p["type"] == "input_audio"]
    return [(sound["format"], base64.b64decode(sound["data"])) for sound in found]


async def test_a_model_that_hears_gets_the_sound(no_worker, alice, fake_model):
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        _, reply = await ask(alice, files=[file_id])
    assert sounds(last_message(fake_model)) == [("wav", tone())]
    assert "[sound “note.wav”]" in texts(last_message(fake_model))
    assert (await alice.message(reply)).withheld is None


async def test_it_gets_the_wav_of_other_sound(no_worker, alice, fake_model, monkeypatch):
    async with working():
        state = await upload_with_wav(alice, tone(1.0, rate=44_100, channels=2), tone(1.0))
        await ask(alice, files=[state["id"]])
    assert sounds(last_message(fake_model)) == [("wav", tone(1.0))]


async def test_others_get_the_transcription_and_wait_for_it(no_worker, alice, fake_model, settings):
    settings.HEARING_MODELS = []
    settings.TRANSCRIPTION = f"{SAYS}&headers_ms=1500"
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        _, reply = await ask(alice, files=[file_id])
    lines = last_message(fake_model)["content"].splitlines()
    assert lines[:3] == [
        "[transcription of the sound “note.wav”]",
        "Good morning",
        "[end of the sound “note.wav”]",
    ]
    assert (await alice.message(reply)).withheld is None


async def test_without_a_transcription_they_are_told_so(no_worker, alice, fake_model, settings):
    settings.HEARING_MODELS = []
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        _, reply = await ask(alice, files=[file_id])
    sent = last_message(fake_model)["content"]
    assert "“note.wav” was attached here, but you cannot hear sound" in sent
    assert (await alice.message(reply)).withheld == [{"file": file_id, "why": "modality"}]


async def test_a_long_transcription_is_cut(no_worker, alice, fake_model, settings, monkeypatch):
    settings.HEARING_MODELS = []
    settings.TRANSCRIPTION = f"openai/whisper?says={'A' * 500}"
    monkeypatch.setattr(prompt_files, "DOCUMENT_SHARE", 0.0005)
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        await transcribed(alice, file_id)
        _, reply = await ask(alice, files=[file_id])
    kept = last_message(fake_model)["content"].count("A")
    assert 0 < kept < 500 and f"[The rest, {500 - kept} characters, is left out.]" in str(
        last_message(fake_model)
    )
    assert (await alice.message(reply)).withheld == [{"file": file_id, "why": "window"}]


async def test_sound_that_has_no_room_is_replaced(no_worker, alice, fake_model, monkeypatch):
    monkeypatch.setattr(prompt_files, "MAX_PICTURE_BYTES", 1_000)
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        _, reply = await ask(alice, files=[file_id])
    assert sounds(last_message(fake_model)) == []
    assert (await alice.message(reply)).withheld == [{"file": file_id, "why": "window"}]


async def test_a_refusal_of_sound_is_learned(no_worker, alice, fake_model, settings):
    settings.TRANSCRIPTION = SAYS
    deaf = "[[tokens=2&deaf=This model does not support audio]] What is it?"
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        await transcribed(alice, file_id)
        _, reply = await ask(alice, deaf, files=[file_id])
        assert "Good morning" in last_message(fake_model)["content"]
        before = len(fake_model.requests)
        await ask(alice, deaf, parent=reply)
    [request] = fake_model.requests[before:]
    assert not any(sounds(message) for message in request["body"]["messages"])


async def test_the_list_of_models_says_which_hear(no_worker, alice):
    models = (await alice.client.get("/api/models")).json()["models"]
    assert [model["inputs"] for model in models if model["id"] == "openai/script/known"] == [
        ["text", "audio"]
    ]
