"""Answers whose models speak: asked for, kept, heard while they come, stored, told and paid."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import User
from chat.files import sweeping, uploads
from chat.files.spoken import live, rows, storing
from chat.llm.stream.sound_data import BYTES_PER_S
from chat.models import Speech, StoredFile
from streams.log import get_log
from tests.chat.files.spoken.speakers import (
    ask,
    begun,
    files,
    heard,
    script,
    sound_of,
    stored,
    told,
)
from tests.chat.workers import working

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

PLAIN = script()


@pytest.fixture(autouse=True)
def speaks(settings):
    settings.SPEAKING_MODELS, settings.SPEAKING_VOICE = ["known"], "verse"


async def keys_left(person):
    stream = (await User.objects.aget()).stream
    names = [str(file.id) async for file in StoredFile.objects.all()]
    return [name for name in names if await get_log().sounds.last(stream, name)]


@pytest.mark.parametrize("split", ["", "odd", "padded", "junk"])
async def test_the_sound_is_stored_and_told(no_worker, alice, fake_model, split):
    text = script(audio_split=split)
    async with working():
        reply, message = await ask(alice, text)
        message = await told(alice, reply)
    body = fake_model.requests[0]["body"]
    assert (body["modalities"], body["audio"]) == (
        ["text", "audio"],
        {"voice": "verse", "format": "pcm16"},
    )
    assert message.status == "done" and str(message.text)
    audio = message.audio
    assert (audio["voice"], audio["estimated"], message.sound) == ("verse", True, None)
    assert audio["file"]["kind"] == "audio" and audio["file"]["duration_ms"] == 1_200
    assert audio["spans"][0][0] == audio["spans"][0][2] == 0
    assert (audio["spans"][-1][1], audio["spans"][-1][3]) == (len(str(message.text).strip()), 1_200)
    assert await stored(alice, message) == sound_of(text)
    [row] = await files()
    assert (row.state, row.stored_bytes) == ("ready", 1_200 * 48 + rows.HEADER_BYTES)
    assert await keys_left(alice) == []
    assert message.omitted == (["audio"] if split == "junk" else None)


async def test_it_is_played_for_the_button_that_reads_aloud(no_worker, alice, settings):
    settings.SPEECH, settings.SPEECH_VOICE = "openai/tts", "verse"
    async with working():
        reply, _ = await ask(alice, PLAIN)
        message = await told(alice, reply)
        state = (await alice.post(f"/api/chats/{alice.chat}/messages/{reply}/speech")).json()
    assert (state["speech"], state["file"]) == ("done", message.audio["file"])
    assert await Speech.objects.acount() == 1


async def test_a_model_that_does_not_speak_is_not_asked_to(no_worker, alice, fake_model, settings):
    settings.SPEAKING_MODELS = []
    async with working():
        _, message = await ask(alice, PLAIN)
    assert message.status == "done" and not await files()
    assert not {"modalities", "audio"} & set(fake_model.requests[0]["body"])


async def test_a_refusal_is_learned_and_the_answer_written(no_worker, alice, fake_model):
    async with working():
        _, first = await ask(alice, script(voice_400=1))
        _, second = await ask(alice, script(voice_400=1, more=1))
        async with asyncio.timeout(10):
            while await files():
                await asyncio.sleep(0.05)
    assert (first.status, second.status) == ("done", "done")
    asked = ["audio" in request["body"] for request in fake_model.requests]
    assert asked == [True, False, False]
    assert not await Speech.objects.aexists()


async def test_the_message_names_the_sound_while_it_is_spoken(no_worker, alice):
    async with working():
        _, reply = await alice.send(script(rate=12))
        file_id = await begun(reply)
        message = await alice.until(reply, lambda message: message.sound)
        assert message.sound == file_id and message.status == "running"
        message = await told(alice, reply)
    assert message.audio["file"]["id"] == file_id


async def test_it_is_heard_from_every_offset_while_it_is_spoken(no_worker, alice):
    text = script(rate=15, audio=1_600)
    sound = sound_of(text, 1_600)
    async with working():
        _, reply = await alice.send(text)
        file_id = await begun(reply)
        offsets = (0, 1, 2, 4_799, 4_800, 4_801, 31_337, 60_000, len(sound) - 1, len(sound))
        pieces = await asyncio.gather(*(heard(alice, file_id, offset) for offset in offsets))
        await told(alice, reply)
        again = await asyncio.gather(*(heard(alice, file_id, offset) for offset in offsets))
    for offset, live_piece, stored_piece in zip(offsets, pieces, again, strict=True):
        assert live_piece == sound[offset:] and stored_piece == sound[offset:], offset
    assert await heard(alice, file_id, len(sound) + 2) == b""


async def test_a_reader_that_is_slow_gets_all_of_it(no_worker, alice):
    """It is read from Redis as it is taken; the rest comes from the WAV."""
    text = script(tokens=30, audio=3_000)
    async with working():
        _, reply = await alice.send(text)
        file_id = await begun(reply)
        response = await alice.client.get(f"/files/{file_id}/live")
        pieces = aiter(response.streaming_content)
        sound = bytearray(await anext(pieces))
        await told(alice, reply)
        async for piece in pieces:
            assert len(piece) <= 64_000
            sound += piece
    assert sound == sound_of(text, 3_000)


async def test_only_its_owner_hears_it(no_worker, alice, bob):
    async with working():
        _, reply = await alice.send(script(rate=12))
        file_id = await begun(reply)
        for person, path in (
            (bob, f"/files/{file_id}/live"),
            (alice, f"/files/{uuid.uuid4()}/live"),
        ):
            assert (await person.client.get(path)).status_code == 404
        await told(alice, reply)
        assert (await bob.client.get(f"/files/{file_id}/live")).status_code == 404
    for asked in ("x", "-1", "1.5", "", "٣", "9" * 30):
        response = await alice.client.get(f"/files/{file_id}/live", {"from": asked})
        assert response.status_code == 400, asked
    head = await alice.client.head(f"/files/{file_id}/live")
    assert (head.status_code, head["Content-Type"]) == (200, "audio/pcm;rate=24000")


async def test_a_person_hears_so_many_at_once(no_worker, alice, monkeypatch):
    monkeypatch.setattr(live, "MAX_LISTENERS", 2)
    async with working():
        _, reply = await alice.send(script(rate=12))
        path = f"/files/{await begun(reply)}/live"
        responses = [await alice.client.get(path) for _ in range(2)]
        streams = [aiter(response.streaming_content) for response in responses]
        for stream in streams:
            await anext(stream)
        assert (await alice.client.get(path)).status_code == 429
        for response in responses:
            response.close()
        assert not live._listeners
        await asyncio.sleep(0.01)
        assert (await alice.client.get(path)).status_code == 200
        await told(alice, reply)


async def test_a_stopped_answer_keeps_what_has_arrived(no_worker, alice):
    text = script(tokens=100, audio=10_000, rate=20)
    async with working():
        _, reply = await alice.send(text)
        file_id = await begun(reply)
        first = await heard(alice, file_id, until=12_000)
        await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
        message = await alice.settled(reply)
        assert message.status == "stopped"
        message = await told(alice, reply)
    sound = await stored(alice, message)
    assert sound == sound_of(text, 10_000)[: len(sound)] and sound.startswith(first)
    assert len(sound) < 10_000 * 48


async def test_what_is_too_long_ends_the_answer(no_worker, alice, fake_model, monkeypatch):
    monkeypatch.setattr(rows, "MAX_SOUND_BYTES", BYTES_PER_S)
    text = script(tokens=30, audio=3_000)
    async with working():
        reply, message = await ask(alice, text)
        assert (message.status, message.finish) == ("done", "length")
        message = await told(alice, reply)
    assert await stored(alice, message) == sound_of(text, 3_000)[:BYTES_PER_S]


async def test_without_room_the_answer_is_only_written(no_worker, alice, fake_model, settings):
    settings.QUOTA_FILE_BYTES_GUEST = rows.MIN_SOUND_BYTES - 1
    async with working():
        _, message = await ask(alice, PLAIN)
    assert message.status == "done" and message.sound is None and not await files()
    assert "audio" not in fake_model.requests[0]["body"]


async def test_little_room_bounds_the_sound(no_worker, alice, settings, monkeypatch):
    monkeypatch.setattr(rows, "MIN_SOUND_BYTES", 1_000)
    settings.QUOTA_FILE_BYTES_GUEST = 20_001 + rows.HEADER_BYTES
    async with working():
        reply, _ = await ask(alice, PLAIN)
        message = await told(alice, reply)
    assert await stored(alice, message) == sound_of(PLAIN)[:20_000]
    [row] = await files()
    assert row.stored_bytes <= settings.QUOTA_FILE_BYTES_GUEST


async def test_an_answer_that_is_continued_is_written_on(no_worker, alice, fake_model):
    text = script(tokens=60, audio=6_000, rate=20)
    async with working():
        _, reply = await alice.send(text)
        await heard(alice, await begun(reply), until=12_000)
        await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
        await alice.settled(reply)
        before = (await told(alice, reply)).audio
        await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/attempts")
        message = await alice.until(
            reply, lambda message: message.status == "done" and message.audio
        )
    assert message.audio == before
    assert ["audio" in request["body"] for request in fake_model.requests] == [True, False]


async def test_a_broken_stream_goes_on_after_the_sound_that_is_kept(no_worker, alice, fake_model):
    text = script(tokens=20, audio=2_000, cut_after=8, times=1)
    async with working():
        reply, message = await ask(alice, text)
        assert message.status == "done" and len(message.seams) == 1
        message = await told(alice, reply)
    assert await stored(alice, message) == sound_of(text, 2_000)
    assert [request["body"]["modalities"] for request in fake_model.requests] == [
        ["text", "audio"]
    ] * 2


async def test_it_survives_that_the_storage_is_away(no_worker, alice, monkeypatch):
    write, failures = storing.objects.write, []

    def failing(*args):
        if len(failures) < 2:
            failures.append(args)
            raise OSError
        return write(*args)

    monkeypatch.setattr(storing.objects, "write", failing)
    monkeypatch.setattr(storing, "LEASE", timezone.timedelta(seconds=0.1))
    async with working():
        reply, _ = await ask(alice, PLAIN)
        async with asyncio.timeout(30):
            while not (await alice.message(reply)).audio:
                await asyncio.sleep(0.1)
                await sync_to_async(rows.wake)()
        message = await told(alice, reply)
    assert len(failures) == 2
    assert await stored(alice, message) == sound_of(PLAIN)


async def test_a_deleted_chat_takes_its_sound_along(no_worker, alice):
    async with working():
        _, reply = await alice.send(script(rate=12))
        file_id = await begun(reply)
        await heard(alice, file_id, until=1_000)
    # No worker: the sound is not stored yet.
    owner = await User.objects.aget()
    assert await get_log().sounds.last(owner.stream, file_id)
    await sync_to_async(uploads.erase_rows)(uploads.Q(chat_id=alice.chat))
    await sweeping.erase_marked()
    assert not await get_log().sounds.last(owner.stream, file_id)
    assert not await StoredFile.objects.aexists() and not await Speech.objects.aexists()
    assert (await alice.client.get(f"/files/{file_id}/live")).status_code == 404


async def test_a_person_takes_their_sound_along(no_worker, alice):
    async with working():
        _, reply = await alice.send(script(rate=12))
        file_id = await begun(reply)
        await heard(alice, file_id, until=1_000)
    owner = await User.objects.aget()
    await get_log().erase(owner.stream)
    assert not await get_log().sounds.last(owner.stream, file_id)


def test_spans_follow_the_sound_of_each_attempt():
    text = "One is here. Two is here. Three is here. Four is here."
    spans = storing.estimated_spans(text, [(0, 48_000), (26, 96_000)])
    assert [span[:2] for span in spans] == [[0, 12], [13, 25], [26, 40], [41, 54]]
    assert [span[2:] for span in spans] == [[0, 500], [500, 1_000], [1_000, 2_037], [2_037, 3_000]]
    assert storing.estimated_spans("", [(0, 48_000)]) == []
    assert storing.estimated_spans(text, []) == []
