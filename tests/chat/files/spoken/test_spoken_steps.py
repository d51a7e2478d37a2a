"""Workers that are lost at each step of a spoken answer: its sound is kept, bought once and told
once, and nothing is left over."""

import asyncio
import contextlib
import os

import pytest

from accounts.models import User
from billing import audit
from billing.models import Hold, LedgerEntry, Usage
from chat.files import objects
from chat.files.speaking import telling
from chat.files.spoken import rows, storing
from chat.files.spoken.answer_sound import AnswerSound
from chat.generation.reply_log import ReplyLog
from chat.models import Speech, StoredFile
from streams.errors import FencedError, LogUnavailableError
from streams.log import Log, get_log
from streams.sound.sounds import Sounds
from tests.buckets.storages import files_with_objects
from tests.chat.charging.conftest import holdfast
from tests.chat.files.generated.killing import kill_once
from tests.chat.files.spoken.speakers import ask, heard, script, sound_of, stored, told
from tests.chat.workers import working

__all__ = ["holdfast"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

IN, OUT, SPOKEN = 10, 20, 80
MODEL = "openrouter/spoken?audio=1200&tokens=12"
PRICES = {"prompt": "0.00001", "completion": "0.00002", "audio_output": "0.00008"}
TEXT = "Why tides?"

# Before and after each, the worker loses the reply.
STEPS = {
    "the row": (rows, "begin"),
    "the start": (ReplyLog, "append_start"),
    "a piece of sound": (Sounds, "append"),
    "the end": (ReplyLog, "append_end"),
    "compacting": (Log, "compact"),
    "the end of the row": (rows, "after_end"),
    "closing": (Sounds, "close"),
    "the WAV": (objects, "write"),
    "the file": (storing, "_finish"),
    "telling": (telling, "_tell"),
    "erasing": (Sounds, "erase"),
}


@pytest.fixture(autouse=True)
def speaks(holdfast):
    holdfast.list_models("script/known", MODEL.partition("/")[2])
    holdfast.price(MODEL.partition("/")[2], PRICES)


async def charged():
    found = LedgerEntry.objects.filter(kind="charge").order_by("number")
    return -sum([amount async for amount in found.values_list("amount_micro_usd", flat=True)])


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("step", STEPS)
async def test_nothing_is_lost_or_doubled(no_worker, alice, holdfast, monkeypatch, step, is_after):
    monkeypatch.setattr(storing, "LEASE", storing.timedelta(seconds=0.2))
    killed = kill_once(monkeypatch, *STEPS[step], is_after)
    async with working():
        reply, message = await ask(alice, TEXT, model=MODEL)
        assert message.status == "done", message.error
        async with asyncio.timeout(40):
            while not (message := await alice.message(reply)).audio:
                await look_again()
            while await Speech.objects.filter(is_untold=True).aexists():
                await look_again()
    assert killed
    sound = await stored(alice, message)
    # What a worker had received and not stored is lost with it: nobody pays for that. Nothing is
    # heard twice.
    kept = len(os.path.commonprefix([sound, sound_of(TEXT)]))
    assert sound and sound_of(TEXT).endswith(sound[kept:])
    [row] = await files_left()
    assert (row.state, row.stored_bytes) == ("ready", len(sound) + rows.HEADER_BYTES)
    assert await asyncio.to_thread(files_with_objects) == {str(row.id)}
    owner = await User.objects.aget(id=row.owner_id)
    assert not await get_log().sounds.last(owner.stream, str(row.id))
    assert await heard(alice, str(row.id)) == sound
    usages = [usage async for usage in Usage.objects.filter(purpose="answer").order_by("attempt")]
    costs = [
        usage.prompt_tokens * IN
        + (usage.completion_tokens - (usage.audio_output_tokens or 0)) * OUT
        + (usage.audio_output_tokens or 0) * SPOKEN
        for usage in usages
    ]
    assert await charged() == sum(costs)
    assert sum(usage.audio_output_tokens or 0 for usage in usages) >= len(sound) // 48 * 20 // 1_000
    assert (await audit.run()).differences == []
    assert not await Hold.objects.filter(state="open").aexists()


async def look_again():
    """What the next run of the chore does."""
    await asyncio.sleep(0.2)
    with contextlib.suppress(FencedError):  # This is the one that is killed.
        await storing.store_all()
        await telling.tell_all()


async def files_left():
    return [row async for row in StoredFile.objects.exclude(state="erased")]


@pytest.mark.parametrize("pieces", [1, 3, 7])
async def test_a_successor_keeps_the_sound_and_pays_for_it(
    no_worker, alice, holdfast, monkeypatch, pieces
):
    """The first worker is lost after so many pieces: they are charged to its attempt."""
    append, count = AnswerSound._append_next, []

    async def losing(self):
        await append(self)
        count.append(self._size)
        if len(count) == pieces:
            raise LogUnavailableError("lost")

    monkeypatch.setattr(AnswerSound, "_append_next", losing)
    text = script(rate=30, audio_piece=4_800)
    async with working():
        reply, message = await ask(alice, text, model=MODEL)
        assert message.status == "done" and len(message.seams) == 1
        message = await told(alice, reply)
        async with asyncio.timeout(20):
            while await Hold.objects.filter(state="open").aexists():
                await asyncio.sleep(0.05)
    kept = count[pieces - 1]
    sound = await stored(alice, message)
    assert sound[:kept] == sound_of(text)[:kept]
    first, second = [u async for u in Usage.objects.filter(purpose="answer").order_by("attempt")]
    assert first.audio_output_tokens == -(-kept // 48 * 20 // 1_000) and first.estimated
    assert not second.estimated and second.audio_output_tokens
    assert (await audit.run()).differences == []
