"""Speech without a provider, by the real recogniser and voice."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import wave
from difflib import SequenceMatcher
from pathlib import Path

import psutil
import pytest
from asgiref.sync import sync_to_async

from billing import audit
from billing.models import Hold, LedgerEntry, Usage
from chat.files import objects
from chat.files.local_speech import packages, process
from chat.files.local_speech.calls import recognise, say
from chat.files.speaking.waves import write_wav
from chat.llm.errors import ProviderError
from config.supervise import doctor
from tests.chat.files.file_requests import code_of, transcribed, upload
from tests.chat.files.sound.sounds import silence, tone
from tests.chat.files.speaking.speech_requests import order, read_aloud, speech_of, told
from tests.chat.workers import working
from tests.stack import clean_environment, wait_for

ROOT = Path(__file__).parents[4]
SENTENCE = (ROOT / "tests/browser/sound/sentence.wav").read_bytes()
SAID = "Please open the window and close the door."
ENGLISH = "The tide is the rise and the fall of the water. It comes from the pull of the moon."
# More than half a minute.
LONG = """In the morning my sister walks to the market beside the river.
She buys bread, some cheese, and a small bag of green apples.
On the way home she meets an old friend from school.
They sit down on a bench and talk about the summer.
The friend has moved to a house near the mountains.
It has a blue door, two chimneys, and a very large garden.
Last week a storm broke the window of the kitchen.
Her brother came with his tools and repaired it in an hour.
Now they plan to paint the walls white before the winter.
When the clock strikes twelve, my sister has to leave.
She promises to write a letter and to visit in October.
In the afternoon it begins to rain, and she reads a book."""
GERMAN = "Ebbe und Flut entstehen durch die Anziehung des Mondes, und zwar zweimal am Tag."

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.both_databases,
    pytest.mark.skipif(bool(packages.missing()), reason="local speech is not installed"),
]


@pytest.fixture(autouse=True)
def local(settings):
    settings.LOCAL_SPEECH = True
    yield
    process.child.end()


async def answer_of(person, text):
    """An answer whose text is this."""
    _, reply = await person.send(f"[[text={text}]] Why tides?")
    message = await person.settled(reply)
    assert str(message.text) == text
    return reply


async def free_usage(purpose):
    assert not await LedgerEntry.objects.filter(kind="charge", reason=purpose).aexists()
    assert not await Hold.objects.filter(state="open").aexists()
    assert (await audit.run()).differences == []
    rows = [row async for row in Usage.objects.filter(purpose=purpose)]
    assert {row.free for row in rows} == {"local"}
    return rows


async def test_an_attached_sound_is_written_down_free_of_charge(no_worker, alice, fake_model):
    async with working():
        file_id = await upload(alice, SENTENCE, "note.wav")
        state = await transcribed(alice, file_id)
    assert (state["transcription"], state["text"]) == ("done", SAID)
    [row] = await free_usage("transcription")
    with wave.open(str(ROOT / "tests/browser/sound/sentence.wav")) as sound:
        ms = round(sound.getnframes() * 1_000 / sound.getframerate())
    assert (row.model, row.sound_ms) == (packages.RECOGNISER.id, ms)
    assert fake_model.requests == []


async def test_a_provider_comes_first(no_worker, alice, settings, fake_model):
    settings.TRANSCRIPTION = "openai/whisper?says=By the provider"
    async with working():
        file_id = await upload(alice, SENTENCE, "note.wav")
        assert (await transcribed(alice, file_id))["text"] == "By the provider"
    assert process.child.pid is None


async def test_without_the_setting_nothing_is_written_down(no_worker, alice, settings):
    settings.LOCAL_SPEECH = False
    async with working():
        file_id = await upload(alice, SENTENCE, "note.wav")
        assert (await transcribed(alice, file_id))["transcription"] == "none"


@pytest.mark.parametrize("data", [tone(), silence(), tone(rate=44_100, channels=2)])
async def test_sound_without_speech_is_done_too(no_worker, alice, data):
    async with working():
        file_id = await upload(alice, data, "note.wav")
        assert (await transcribed(alice, file_id))["transcription"] == "done"


async def test_sound_in_a_form_that_cannot_be_read_says_so(no_worker, alice):
    async with working():
        file_id = await upload(alice, tone(width=3), "note.wav")
        state = await transcribed(alice, file_id)
    assert state["transcription"] == "failed"
    assert state["error_text"] == "The provider did not accept this sound."


async def test_an_answer_is_read_aloud_and_says_its_words(no_worker, alice):
    async with working():
        reply = await answer_of(alice, ENGLISH)
        state = await read_aloud(alice, reply)
        message = await told(alice, reply)
    assert state["speech"] == "done" and len(state["spans"]) == 2
    sound = await sync_to_async(objects.read_rendition)(state["file"]["id"], objects.ORIGINAL)
    heard = await recognise(sound, 10)
    assert words(heard) == words(ENGLISH)
    assert message.audio["voice"] == packages.VOICE_NAME
    rows = await free_usage("speech")
    assert sum(row.characters for row in rows) == len(ENGLISH) - 1


async def test_another_language_is_left_to_the_browser(no_worker, alice):
    async with working():
        reply = await answer_of(alice, GERMAN)
        assert code_of(await order(alice, reply)) == (409, "speech_language")
    assert (await speech_of(alice, reply))["speech"] == "none"
    assert process.child.pid is None


async def test_long_sound_is_cut_between_words():
    spoken = [await say(sentence) for sentence in LONG.split("\n")]
    form = spoken[0][0]
    data = write_wav(form, [frames for _, frames in spoken])
    assert 35 < len(data) / 48_000 < 60
    heard, expected = words(await recognise(data, 60)), words(LONG)
    assert SequenceMatcher(None, expected, heard).ratio() > 0.95


async def test_calls_go_one_after_another():
    calls = [say("One moment, please."), recognise(SENTENCE, 3), say("Thank you.")]
    sounds = await asyncio.gather(*calls)
    assert sounds[1] == SAID
    again, _ = await asyncio.gather(say("One moment, please."), say("Thank you."))
    assert again == sounds[0]  # It does not depend on what was said before.


async def test_the_process_may_be_killed_at_any_time(no_worker, alice):
    await say("Hello.")
    os.kill(process.child.pid, signal.SIGKILL)
    async with working():
        file_id = await upload(alice, SENTENCE, "note.wav")
        await until(lambda: process.child.pid is not None)
        os.kill(process.child.pid, signal.SIGKILL)  # The worker tries again.
        assert (await transcribed(alice, file_id))["text"] == SAID
    [_] = await free_usage("transcription")


async def test_a_cancelled_call_ends_the_process_and_the_next_starts_one():
    form, frames = await say(ENGLISH)
    call = asyncio.create_task(recognise(write_wav(form, [frames] * 60), 360))
    await asyncio.sleep(0.3)
    pid = process.child.pid
    began = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - began < 3
    assert not psutil.pid_exists(pid)
    assert await recognise(SENTENCE, 3) == SAID


async def test_a_call_that_takes_too_long_ends_the_process(monkeypatch):
    monkeypatch.setattr(process, "GRACE_S", 0.0)
    await say("Hello.")
    os.kill(process.child.pid, signal.SIGSTOP)
    with pytest.raises(ProviderError) as error:
        await process.ask("speak", b'"Hello."', 1)
    assert error.value.code == "provider_timeout"
    assert process.child.pid is None


async def test_it_ends_when_it_is_idle(monkeypatch):
    monkeypatch.setattr(process, "IDLE_S", 0.5)
    await say("Hello.")
    pid = process.child.pid
    await asyncio.sleep(0.3)
    await say("Hello.")
    assert process.child.pid == pid
    await until(lambda: process.child.pid is None)
    assert not psutil.pid_exists(pid)


async def test_a_forgotten_one_ends_by_itself(monkeypatch):
    monkeypatch.setattr(process, "CHILD_IDLE_S", 1)
    await say("Hello.")
    pid = process.child.pid
    await until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


async def test_it_has_no_secrets():
    await say("Hello.")
    assert Path(f"/proc/{process.child.pid}/environ").read_bytes() == b""


WORKER = """
import asyncio, sys
import django
django.setup()
from chat.files.local_speech import process
from chat.files.local_speech.calls import recognise, say
from chat.files.speaking.waves import write_wav

async def main():
    form, frames = await say("Once upon a time there was a king.")
    call = asyncio.create_task(recognise(write_wav(form, [frames] * 200), 400))
    await asyncio.sleep(1)
    print(process.child.pid, flush=True)
    await call

asyncio.run(main())
"""


def test_it_ends_with_its_worker_in_the_middle_of_a_call():
    environment = clean_environment() | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    try:
        pid = int(worker.stdout.readline())
        assert psutil.pid_exists(pid)
        worker.kill()
        worker.wait(10)
        wait_for(lambda: not psutil.pid_exists(pid), 5)
    finally:
        worker.kill()
        worker.wait(10)
        worker.stdout.close()


async def test_doctor_names_what_is_missing(monkeypatch):
    [finding] = doctor._local_speech()
    assert finding.level == "ok"
    monkeypatch.setattr(packages, "PACKAGES", (*packages.PACKAGES, "not_installed"))
    packages.missing.cache_clear()
    try:
        [finding] = doctor._local_speech()
        assert finding.level == "problem" and "not_installed" in finding.text
        assert not packages.is_on()
    finally:
        monkeypatch.undo()
        packages.missing.cache_clear()


def words(text):
    return [word.strip(".,!?").lower() for word in text.split()]


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)
