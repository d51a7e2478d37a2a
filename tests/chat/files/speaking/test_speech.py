"""Answers that are read aloud: ordered, spoken, joined, told, paid and erased."""

import asyncio
import hashlib
import io
import json
import uuid
import wave
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from accounts.models import User
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.probe import Status, Verdict
from billing import audit
from billing.models import Hold, LedgerEntry, Usage
from billing.pages.explanations import explain
from billing.prices import versions as prices
from billing.prices.versions import MILLION, Rates
from chat.files import objects, uploads
from chat.files.speaking import orders, speaker, telling
from chat.files.speaking import prices as prices_of_speech
from chat.files.speaking.sentences import sentences_of
from chat.models import Chat, Speech, StoredFile
from chat.personal_data.markdown_export import render_markdown
from tests.chat.charging.conftest import holdfast
from tests.chat.files.file_requests import code_of
from tests.chat.files.speaking.speech_requests import order, path_of, read_aloud, speech_of, told
from tests.chat.workers import working

__all__ = ["holdfast"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

FREE = "openai/tts"
PAID = "openrouter/tts"
KEY = "sk-test-0123456789abcdef"
# Three sentences.
ASK = "[[tokens=27]] Why tides?"


@pytest.fixture(autouse=True)
def voice(settings):
    settings.SPEECH, settings.SPEECH_VOICE = FREE, "verse"


@pytest.fixture
def paid(settings):
    settings.SPEECH = PAID
    settings.SPEECH_USD_PER_MILLION_CHARACTERS = Decimal(15)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(speaker, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(speaker, "LOOK_EVERY_S", 0.05)


async def answered(person, text=ASK):
    """Ask, and wait for the answer; returns its id and its text."""
    _, reply = await person.send(text)
    message = await person.settled(reply)
    assert message.status == "done"
    return reply, str(message.text)


def spoken(fake_model):
    """The texts that the provider was asked to speak."""
    paths = (r for r in fake_model.requests if r["path"].endswith("/audio/speech"))
    return [request["prompt"] for request in paths]


async def charges():
    found = LedgerEntry.objects.filter(kind="charge", reason="speech").order_by("number")
    return [-amount async for amount in found.values_list("amount_micro_usd", flat=True)]


async def nothing_is_off():
    assert (await audit.run()).differences == []
    assert not await Hold.objects.filter(state="open").aexists()


async def test_an_answer_is_spoken_sentence_by_sentence(no_worker, alice, fake_model):
    async with working():
        reply, text = await answered(alice)
        state = await read_aloud(alice, reply)
        message = await told(alice, reply)
    sentences = sentences_of(text)
    assert len(sentences) == 3
    assert sorted(spoken(fake_model)) == sorted(sentence.words for sentence in sentences)
    request = fake_model.requests[-1]["body"]
    assert {name: request[name] for name in ("model", "voice", "response_format")} == {
        "model": "tts",
        "voice": "verse",
        "response_format": "wav",
    }
    ends = [sum(len(s.words) for s in sentences[: n + 1]) * 20 for n in range(3)]
    spans = [
        [sentence.start, sentence.end, start, end]
        for sentence, start, end in zip(sentences, [0, *ends], ends, strict=False)
    ]
    assert state["speech"] == "done" and (state["spans"], state["voice"]) == (spans, "verse")
    assert message.audio == {name: state[name] for name in ("file", "voice", "spans", "estimated")}
    assert state["file"]["duration_ms"] == ends[-1]


async def test_the_file_is_one_wav_for_its_owner(no_worker, alice, bob):
    async with working():
        reply, _ = await answered(alice)
        state = await read_aloud(alice, reply)
        await told(alice, reply)
    path = f"/files/{state['file']['id']}/original"
    served = await alice.client.get(path)
    content = b"".join([part async for part in served.streaming_content])
    assert (served["Content-Type"], len(content)) == ("audio/wav", state["file"]["bytes"])
    assert hashlib.sha256(content).hexdigest() == state["file"]["sha256"]
    with wave.open(io.BytesIO(content)) as sound:
        assert sound.getnframes() * 1_000 // sound.getframerate() == state["file"]["duration_ms"]
    assert (await bob.client.get(path)).status_code == 404
    row = await StoredFile.objects.aget()
    assert (row.stored_bytes, row.state) == (len(content), "ready")
    # Nothing of the sentences is left.
    folder = objects.key_of(row.id, "")
    assert await sync_to_async(objects.default_storage.listdir)(folder) == ([], ["original"])


async def test_it_is_made_once(no_worker, alice, fake_model):
    async with working():
        reply, _ = await answered(alice)
        both = await asyncio.gather(order(alice, reply), order(alice, reply))
        assert [response.status_code for response in both] == [202, 202]
        first = await read_aloud(alice, reply)
        await told(alice, reply)
        assert await read_aloud(alice, reply) == first
    assert len(spoken(fake_model)) == 3
    assert await StoredFile.objects.acount() == 1


async def test_another_voice_replaces_it(no_worker, alice, fake_model, settings):
    async with working():
        reply, _ = await answered(alice)
        first = await read_aloud(alice, reply)
        await told(alice, reply)
        settings.SPEECH_VOICE = "ash"
        second = await read_aloud(alice, reply)
        assert second["voice"] == "ash" and second["file"]["id"] != first["file"]["id"]
        is_second = lambda m: m.audio and m.audio["file"]["id"] == second["file"]["id"]  # noqa: E731
        await alice.until(reply, is_second)
        async with asyncio.timeout(20):
            while await StoredFile.objects.acount() > 1:
                await asyncio.sleep(0.02)
    assert (await alice.message(reply)).audio["voice"] == "ash"
    assert len(spoken(fake_model)) == 6


async def test_a_deleted_file_is_made_again(no_worker, alice, fake_model):
    async with working():
        reply, _ = await answered(alice)
        first = await read_aloud(alice, reply)
        await told(alice, reply)
        owner = await alice.row()
        file_id = uuid.UUID(first["file"]["id"])
        await sync_to_async(uploads.delete_file)(owner, file_id)
        assert (await speech_of(alice, reply))["speech"] == "none"
        await alice.until(reply, lambda message: message.audio is None)
        second = await read_aloud(alice, reply)
        assert second["file"]["id"] != first["file"]["id"]
        await told(alice, reply)


async def test_it_is_erased_with_the_chat(no_worker, alice):
    async with working():
        reply, _ = await answered(alice)
        await read_aloud(alice, reply)
        await told(alice, reply)
    await sync_to_async(uploads.erase_rows)(orders.Q(chat=alice.chat))
    async with working():
        async with asyncio.timeout(20):
            while await StoredFile.objects.aexists():
                await asyncio.sleep(0.02)
    assert not await Speech.objects.aexists()
    assert await sync_to_async(lambda: list(objects.stored_ids()))() == []


async def test_each_character_is_paid_once(no_worker, alice, paid):
    async with working():
        reply, text = await answered(alice)
        await read_aloud(alice, reply)
        await read_aloud(alice, reply)
    lengths = [len(sentence.words) for sentence in sentences_of(text)]
    assert await charges() == [length * 15 for length in lengths]
    booked = [row async for row in Usage.objects.filter(purpose="speech").order_by("id")]
    assert [row.characters for row in booked] == lengths
    assert {str(row.chat_id) for row in booked} == {alice.chat}
    await nothing_is_off()
    row = await Usage.objects.select_related("price").filter(purpose="speech").afirst()
    [part] = (await sync_to_async(explain)(row)).rows
    assert part.kind == f"for {lengths[0]} characters read aloud"
    page = (await alice.client.get("/billing")).content.decode()
    assert "Answer read aloud in “" in page


async def test_a_price_of_staff_by_the_character(no_worker, alice, settings):
    settings.SPEECH = PAID
    rates = Rates(0, 0, character_micro_usd=30 * MILLION)
    await sync_to_async(prices.set_by_staff)(PAID, rates, uuid.uuid4())
    async with working():
        reply, text = await answered(alice)
        await read_aloud(alice, reply)
    assert sum(await charges()) == sum(len(s.words) for s in sentences_of(text)) * 30
    await nothing_is_off()


async def test_without_a_price_it_is_for_own_keys_only(
    no_worker, alice, fake_model, settings, monkeypatch
):
    monkeypatch.setattr(provider_keys, "url_of", lambda row: fake_model.openrouter_url)
    settings.SPEECH = PAID
    # A price by the token says nothing about speech.
    await sync_to_async(prices.set_by_staff)(PAID, Rates(MILLION, MILLION), uuid.uuid4())
    async with working():
        reply, _ = await answered(alice)
        assert code_of(await order(alice, reply)) == (409, "speech_unavailable")
        await User.objects.filter(id=alice.user["id"]).aupdate(
            is_guest=False, email="a@example.org"
        )
        owner = await alice.row()
        await sync_to_async(provider_keys.save)(owner, "openrouter", KEY, Verdict(Status.OK, []))
        assert (await read_aloud(alice, reply))["speech"] == "done"
    assert fake_model.requests[-1]["headers"]["authorization"] == f"Bearer {KEY}"
    booked = await Usage.objects.filter(purpose="speech").afirst()
    assert (booked.free, booked.charged_micro_usd) == ("own_key", 0)
    await nothing_is_off()


async def test_without_credit_nothing_is_sent(no_worker, alice, fake_model, paid, settings):
    async with working():
        reply, _ = await answered(alice)
        settings.SPEECH_USD_PER_MILLION_CHARACTERS = Decimal(10_000)
        state = await read_aloud(alice, reply)
        assert state["error"]["code"] == "out_of_credit"
        assert spoken(fake_model) == []
        settings.SPEECH_USD_PER_MILLION_CHARACTERS = Decimal(1)
        assert (await read_aloud(alice, reply))["speech"] == "done"
    await nothing_is_off()


async def test_a_failing_provider_is_asked_again_for_what_is_missing(
    no_worker, alice, fake_model, paid, settings, impatient, monkeypatch
):
    monkeypatch.setattr(speaker, "CALLS_AT_ONCE", 2)
    settings.SPEECH = f"{PAID}?status=503&times=2&only=17."
    async with working():
        reply, text = await answered(alice)
        assert (await read_aloud(alice, reply))["speech"] == "done"
    first, second, third = (sentence.words for sentence in sentences_of(text))
    assert "17." in second
    assert spoken(fake_model).count(first) == 1 and spoken(fake_model).count(second) == 3
    assert spoken(fake_model).count(third) == 1
    assert len(await charges()) == 3
    await nothing_is_off()


@pytest.mark.parametrize("fault", ["html_200=1", "kind=mp3", "status=503"])
async def test_a_provider_that_keeps_failing_is_given_up(
    no_worker, alice, fake_model, paid, settings, impatient, fault
):
    settings.SPEECH = f"{PAID}?{fault}"
    async with working():
        reply, _ = await answered(alice)
        state = await read_aloud(alice, reply)
    assert state["error"]["message"] == "This answer could not be read aloud. Try again."
    assert len(spoken(fake_model)) == 3 * speaker.MAX_ERRORS
    assert await charges() == []
    await nothing_is_off()


async def test_a_refusal_is_a_sentence_and_the_rest_is_kept(
    no_worker, alice, fake_model, paid, settings
):
    settings.SPEECH = f"{PAID}?status=400&times=1&only=17."
    async with working():
        reply, text = await answered(alice)
        state = await read_aloud(alice, reply)
        assert state["error"] == {
            "code": "refused",
            "message": "The provider did not accept this text.",
        }
        assert len(await charges()) == 2
        assert (await read_aloud(alice, reply))["speech"] == "done"
    first = sentences_of(text)[0].words
    assert spoken(fake_model).count(first) == 1 and len(await charges()) == 3
    await nothing_is_off()


async def test_what_failed_is_forgotten_after_a_day(no_worker, alice, settings, monkeypatch):
    settings.SPEECH = f"{FREE}?status=400"
    async with working():
        reply, _ = await answered(alice)
        await read_aloud(alice, reply)
    await sync_to_async(orders.forget_failed)()
    assert await StoredFile.objects.exclude(state="erased").aexists()
    monkeypatch.setattr(orders, "FAILED_FOR", orders.timedelta())
    await sync_to_async(orders.forget_failed)()
    assert not await StoredFile.objects.exclude(state="erased").aexists()


async def test_refusals(no_worker, alice, bob, settings, monkeypatch):
    async with working():
        reply, _ = await answered(alice)
        monkeypatch.setattr(orders, "MAX_CHARS", 20)
        assert code_of(await order(alice, reply)) == (413, "speech_too_long")
        monkeypatch.undo()
        settings.QUOTA_FILE_BYTES_GUEST = 1_000
        assert code_of(await order(alice, reply)) == (409, "storage_full")
        settings.QUOTA_FILE_BYTES_GUEST = 0
        assert (await order(alice, reply)).status_code == 202
        _, empty = await alice.send("[[tokens=0]] Nothing")
        await alice.settled(empty)
        assert code_of(await order(alice, empty)) == (422, "speech_empty")
        settings.LIMIT_SPEECH_PER_HOUR_USER = 1
        await order(alice, (await answered(alice))[0])
        other, _ = await answered(alice)
        assert code_of(await order(alice, other)) == (429, "too_many_requests")
        # What was read aloud before is not counted.
        assert (await order(alice, reply)).status_code == 202
        assert code_of(await order(alice, uuid.uuid4())) == (404, "message_not_found")
        await answered(bob)
        foreign = await bob.post(path_of(alice.chat, reply))
        assert code_of(foreign) == (404, "chat_not_found")
        _, running = await alice.send("[[tokens=400&rate=20]] Slowly")
        assert code_of(await order(alice, running)) == (409, "not_possible_now")


async def test_later_sentences_are_left_out_after_ten_minutes(
    no_worker, alice, monkeypatch, settings
):
    monkeypatch.setattr(speaker, "CALLS_AT_ONCE", 1)
    async with working():
        reply, _ = await answered(alice)
        for limit, value in (("MAX_MS", 1_500), ("MAX_BYTES", 24_000)):
            with monkeypatch.context() as patch:
                patch.setattr(speaker, limit, value)
                state = await read_aloud(alice, reply)
            assert 1_500 <= state["file"]["duration_ms"] < 3_000
            assert 1 <= len(state["spans"]) < 3
            settings.SPEECH_VOICE = "ash"


async def test_another_worker_goes_on_and_a_late_one_stores_and_charges_nothing(
    no_worker, alice, paid, fake_model
):
    async with working():
        reply, _ = await answered(alice)
    await order(alice, reply)
    late = await sync_to_async(speaker._claim)()
    voice = await speaker._voice_of(late)
    late.sentences, rest = late.sentences[:1], late.sentences
    await speaker._say_next(late, voice)
    late.sentences = rest
    await Speech.objects.aupdate(leased_until=None)
    quick = await sync_to_async(speaker._claim)()
    assert len(quick.pieces) == 1
    # What the late one gives up is not what the quick one holds.
    await sync_to_async(prices_of_speech.hold)(quick, voice.model, 1, 100)
    await sync_to_async(speaker._release)(late, voice.model, {1})
    assert await Hold.objects.filter(state="open").acount() == 1
    await speaker._speak(quick)
    await speaker._speak(late)
    await telling.tell_all()
    assert (await speech_of(alice, reply))["speech"] == "done"
    assert len(await charges()) == 3
    assert spoken(fake_model).count(rest[0][2]) == 1
    await nothing_is_off()


async def test_speech_that_kills_its_workers_is_given_up(no_worker, alice):
    async with working():
        reply, _ = await answered(alice)
    await order(alice, reply)
    await Speech.objects.aupdate(attempts=speaker.MAX_ATTEMPTS)
    assert await sync_to_async(speaker._claim)() is None
    assert (await speech_of(alice, reply))["error"]["code"] == "failed"


async def test_speech_that_is_erased_meanwhile_costs_nothing(
    no_worker, alice, fake_model, paid, settings
):
    settings.SPEECH = f"{PAID}?headers_ms=1000"
    async with working():
        reply, _ = await answered(alice)
        await order(alice, reply)
        async with asyncio.timeout(20):
            while not spoken(fake_model):
                await asyncio.sleep(0.02)
        await sync_to_async(uploads.erase_rows)(orders.Q(chat=alice.chat))
        async with asyncio.timeout(20):
            while (
                await StoredFile.objects.aexists()
                or await Hold.objects.filter(state="open").aexists()
            ):
                await asyncio.sleep(0.02)
    assert await charges() == []
    await nothing_is_off()


async def test_the_speech_of_a_text_that_went_on_is_not_told(no_worker, alice):
    async with working():
        reply, _ = await answered(alice)
    await order(alice, reply)
    await Speech.objects.aupdate(text_sha256="0" * 64)
    await speaker._speak(await sync_to_async(speaker._claim)())
    await telling.tell_all()
    assert (await alice.message(reply)).audio is None
    assert (await speech_of(alice, reply))["speech"] == "none"


async def test_the_page_knows_whether_it_can(no_worker, alice, settings):
    async def can_speak():
        page = (await alice.visit()).content.decode()
        config = page.partition('id="config" type="application/json">')[2].partition("</")[0]
        return json.loads(config)["canSpeak"]

    assert await can_speak() is True
    settings.SPEECH_VOICE = ""
    assert await can_speak() is False
    settings.SPEECH, settings.SPEECH_VOICE = PAID, "verse"
    assert await can_speak() is False
    settings.SPEECH_USD_PER_MILLION_CHARACTERS = Decimal(15)
    assert await can_speak() is True


async def test_the_markdown_of_a_chat_names_the_speech(no_worker, alice):
    async with working():
        reply, text = await answered(alice)
        await read_aloud(alice, reply)
        message = await told(alice, reply)
    response = await alice.client.get(f"/api/chats/{alice.chat}/export", {"format": "md"})
    name = message.audio["file"]["name"]
    assert f"{text.rstrip()}\n\n- Read aloud: {name}\n" in response.content.decode()
    transcript = await alice.transcript()
    linked = "".join(
        render_markdown(transcript, await Chat.objects.aget(id=alice.chat), lambda file: "../a b")
    )
    assert f"- Read aloud: [{name}](../a%20b)\n" in linked
    answer = await alice.client.get(f"/api/chats/{alice.chat}/export", {"format": "json"})
    assert json.loads(answer.content) and message.audio["file"]["id"] in answer.content.decode()
