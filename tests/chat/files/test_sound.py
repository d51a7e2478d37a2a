"""Sound: uploaded with its WAV, served, written down."""

import uuid

import pytest

from chat.models import StoredFile, Transcription
from tests.chat.files.file_requests import (
    announced,
    code_of,
    complete,
    state_of,
    transcribed,
    upload,
    upload_with_wav,
)
from tests.chat.files.sounds import tone
from tests.chat.workers import working

pytestmark = pytest.mark.django_db(transaction=True)


async def test_sound_is_written_down(no_worker, alice, fake_model, settings):
    settings.TRANSCRIPTION = "openai/whisper?says=Good morning&usage=seconds&of=1.5"
    async with working():
        file_id = await upload(alice, tone(1.5), "note.wav")
        state = await transcribed(alice, file_id)
    assert (state["transcription"], state["text"]) == ("done", "Good morning")
    assert state["file"]["kind"] == "audio" and state["file"]["duration_ms"] == 1_500
    [request] = fake_model.requests
    assert request["body"]["format"] == "wav" and request["bytes"] == len(tone(1.5))


async def test_without_a_means_nothing_is_written_down(no_worker, alice, fake_model):
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
    assert (await state_of(alice, file_id))["transcription"] == "none"
    assert not fake_model.requests


async def test_the_wav_of_a_sound_is_kept_and_served(no_worker, alice):
    stereo, wav = tone(1.0, rate=44_100, channels=2), tone(1.0)
    async with working():
        state = await upload_with_wav(alice, stereo, wav)
    assert state["state"] == "ready" and state["wav_parts"] == [0]
    row = await StoredFile.objects.aget(id=state["id"])
    assert row.stored_bytes == len(stereo) + len(wav)
    served = await alice.client.get(f"/files/{state['id']}/wav")
    content = b"".join([part async for part in served.streaming_content])
    assert content == wav and served["Content-Type"] == "audio/wav"
    assert served["Content-Disposition"].startswith("inline")
    ranged = await alice.client.get(
        f"/files/{state['id']}/original", headers={"Range": "bytes=0-3"}
    )
    assert ranged.status_code == 206
    assert b"".join([part async for part in ranged.streaming_content]) == b"RIFF"


@pytest.mark.parametrize(
    "wav", [tone(3.0), tone(1.0, rate=8_000), b"RIFF no sound", tone(1.0, channels=2)]
)
async def test_a_wav_that_is_not_the_same_sound_is_dropped(no_worker, alice, wav):
    async with working():
        state = await upload_with_wav(alice, tone(1.0, rate=44_100), wav)
    assert state["state"] == "ready"
    assert (await alice.client.get(f"/files/{state['id']}/wav")).status_code == 404
    row = await StoredFile.objects.aget(id=state["id"])
    assert row.stored_bytes == row.size_bytes


async def test_both_must_have_arrived(no_worker, alice):
    body = announced(tone(), wav={"bytes": 5, "sha256": "0" * 64})
    person = (await alice.post("/api/files", **body)).json()["user"]
    assert person
    response = await complete(alice, body["id"])
    assert code_of(response) == (409, "file_incomplete")
    assert response.json()["error"]["missing"] == [0]
    assert response.json()["error"]["wav_missing"] == [0]


async def test_a_refusal_is_a_sentence_and_can_be_tried_again(no_worker, alice, settings):
    settings.TRANSCRIPTION = "openai/whisper?status=400&times=1&says=At last"
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        state = await transcribed(alice, file_id)
        assert state["transcription"] == "failed"
        assert state["error_text"] == "The provider did not accept this sound."
        response = await alice.post(f"/api/files/{file_id}/transcribe")
        assert response.status_code == 202
        state = await transcribed(alice, file_id)
    assert (state["transcription"], state["text"]) == ("done", "At last")
    assert (await Transcription.objects.aget(file_id=uuid.UUID(file_id))).run == 2
