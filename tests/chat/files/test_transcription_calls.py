"""The forms of a request for a transcription, what is charged for it, and its faults."""

import asyncio
import json
import uuid
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from accounts.models import ProviderKey, User
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.probe import Verdict
from billing import audit
from billing.models import Hold, LedgerEntry, Usage
from billing.prices import versions as prices
from billing.prices.versions import MILLION, Rates
from chat.files import objects
from chat.files.transcribing import pieces, transcriber
from chat.files.transcribing.means import means_for
from chat.models import StoredFile, Transcription
from tests.chat.charging.conftest import holdfast
from tests.chat.files.file_requests import code_of, state_of, transcribed, upload
from tests.chat.files.sounds import silence, tone
from tests.chat.workers import working

__all__ = ["holdfast"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

KEY = "sk-or-abcdefghijklmnopqrstuvwx"
JSON = "openrouter/whisper?says=Hello"


async def written_down(person, data=None, name="note.wav"):
    """Upload sound and wait for its transcription; returns its state."""
    async with working():
        file_id = await upload(person, data or tone(), name)
        return await transcribed(person, file_id)


async def usage():
    return await Usage.objects.aget(purpose="transcription")


async def charges():
    found = LedgerEntry.objects.filter(kind="charge").order_by("number")
    return [-amount async for amount in found.values_list("amount_micro_usd", flat=True)]


async def nothing_is_off():
    assert (await audit.run()).differences == []
    assert not await Hold.objects.filter(state="open").aexists()


async def test_openrouters_form(no_worker, alice, fake_model, settings):
    settings.TRANSCRIPTION = f"{JSON}&usage=seconds&of=1.5&cost=0.000375"
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.02")
    state = await written_down(alice, tone(1.5))
    assert (state["transcription"], state["text"]) == ("done", "Hello")
    [request] = fake_model.requests
    assert request["path"] == "/openrouter/v1/audio/transcriptions"
    assert request["headers"]["content-type"] == "application/json"
    assert (request["body"]["format"], request["bytes"]) == ("wav", len(tone(1.5)))
    booked = await usage()
    assert (booked.cost_micro_usd, booked.cost_by_provider, booked.sound_ms) == (375, True, 1_500)
    assert await charges() == [375]
    await nothing_is_off()


async def test_a_price_by_the_minute(no_worker, alice, settings):
    settings.TRANSCRIPTION = JSON
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    state = await written_down(alice, tone(3.0))
    assert state["transcription"] == "done"
    booked = await usage()
    assert (booked.sound_ms, booked.estimated, booked.charged_micro_usd) == (3_000, True, 300)
    assert await charges() == [300]
    await nothing_is_off()


async def test_a_price_by_the_minute_is_none_for_answers(no_worker, alice, settings):
    settings.TRANSCRIPTION = "openrouter/script/known"
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    await written_down(alice)
    assert (await sync_to_async(prices.current)("openrouter/script/known")).input_micro_usd


async def test_a_price_by_the_token(no_worker, alice, settings):
    settings.TRANSCRIPTION = f"{JSON}&usage=tokens&of=20"
    model = f"{JSON}&usage=tokens&of=20"
    rates = Rates(2 * MILLION, 10 * MILLION, audio_micro_usd=6 * MILLION)
    await sync_to_async(prices.set_by_staff)(model, rates, uuid.uuid4())
    state = await written_down(alice, tone(1.0))
    assert state["transcription"] == "done"
    booked = await usage()
    assert (booked.prompt_tokens, booked.audio_tokens, booked.completion_tokens) == (20, 20, 3)
    assert booked.charged_micro_usd == 20 * 6 + 3 * 10
    await nothing_is_off()


async def test_a_report_that_is_missing_is_counted_here(no_worker, alice, settings):
    settings.TRANSCRIPTION = JSON
    rates = Rates(2 * MILLION, 10 * MILLION)
    await sync_to_async(prices.set_by_staff)(JSON, rates, uuid.uuid4())
    await written_down(alice, tone(2.0))
    booked = await usage()
    assert (booked.prompt_tokens, booked.audio_tokens, booked.estimated) == (64, 64, True)
    assert booked.charged_micro_usd >= 64 * 2
    await nothing_is_off()


async def test_without_a_price_it_is_for_own_keys_only(no_worker, alice, settings):
    settings.TRANSCRIPTION = JSON
    state = await written_down(alice)
    assert state["transcription"] == "none"
    assert await sync_to_async(means_for)(None) is None


async def test_the_page_knows_whether_it_can(no_worker, alice, settings):
    async def can_transcribe():
        page = (await alice.visit()).content.decode()
        return json.loads(
            page.partition('id="config" type="application/json">')[2].partition("</")[0]
        )["canTranscribe"]

    assert await can_transcribe() is False
    settings.TRANSCRIPTION = JSON
    assert await can_transcribe() is False
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    assert await can_transcribe() is True


async def test_a_chat_model_that_hears(no_worker, alice, fake_model, settings):
    settings.TRANSCRIPTION = "openrouter/script/hears?tokens=3&audio_tokens=7"
    settings.TRANSCRIPTION_FORM = "chat"
    rates = Rates(2 * MILLION, 10 * MILLION, audio_micro_usd=6 * MILLION)
    await sync_to_async(prices.set_by_staff)(settings.TRANSCRIPTION, rates, uuid.uuid4())
    state = await written_down(alice)
    assert state["transcription"] == "done" and len(state["text"].split()) == 3
    [request] = fake_model.requests
    parts = request["body"]["messages"][-1]["content"]
    assert [part["type"] for part in parts] == ["text", "input_audio"]
    booked = await usage()
    assert booked.audio_tokens == 7 and booked.completion_tokens == 3
    assert booked.charged_micro_usd == (booked.prompt_tokens - 7) * 2 + 7 * 6 + 3 * 10
    await nothing_is_off()


async def test_without_credit_nothing_is_sent(no_worker, alice, fake_model, settings):
    settings.TRANSCRIPTION = JSON
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal(100)
    state = await written_down(alice, tone(9.0))
    assert state["transcription"] == "failed" and "not enough credit" in state["error_text"]
    assert fake_model.requests == []
    await nothing_is_off()


async def test_a_failing_provider_is_asked_again_and_charged_once(
    no_worker, alice, fake_model, settings, monkeypatch
):
    monkeypatch.setattr(transcriber, "FIRST_PAUSE_S", 0.05)
    settings.TRANSCRIPTION = f"{JSON}&status=503&times=2"
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    state = await written_down(alice)
    assert state["transcription"] == "done"
    assert len(fake_model.requests) == 3
    assert await charges() == [100]
    await nothing_is_off()


async def test_a_provider_that_keeps_failing_is_given_up(
    no_worker, alice, fake_model, settings, monkeypatch
):
    monkeypatch.setattr(transcriber, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(transcriber, "LOOK_EVERY_S", 0.05)
    settings.TRANSCRIPTION = f"{JSON}&html_200=1"
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    state = await written_down(alice)
    assert state["error_text"] == "The speech could not be written down. Try again."
    assert len(fake_model.requests) == transcriber.MAX_ERRORS
    assert await charges() == []
    await nothing_is_off()


async def test_only_so_many_in_an_hour(no_worker, alice, settings):
    settings.TRANSCRIPTION = JSON
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    settings.LIMIT_TRANSCRIPTIONS_PER_HOUR_USER = 1
    await written_down(alice)
    state = await written_down(alice)
    assert state["transcription"] == "failed" and "in the last hour" in state["error_text"]
    again = await alice.post(f"/api/files/{state['id']}/transcribe")
    assert code_of(again) == (429, "too_many_requests")


async def test_long_sound_goes_in_pieces_each_charged_once(
    no_worker, alice, fake_model, settings, monkeypatch
):
    monkeypatch.setattr(pieces, "PIECE_S", 2)
    monkeypatch.setattr(pieces, "SEARCH_S", 1)
    settings.TRANSCRIPTION = f"{JSON}"
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    state = await written_down(alice, tone(5.0))
    assert state["text"] == "Hello\nHello\nHello\nHello"[: len(state["text"])]
    sent = [request["bytes"] for request in fake_model.requests]
    assert len(sent) >= 3 and sum(size - 44 for size in sent) == len(tone(5.0)) - 44
    assert sum(await charges()) in range(500, 505)
    assert len(await charges()) == len(sent)
    await nothing_is_off()


async def test_the_next_worker_sends_only_the_pieces_that_are_missing(
    no_worker, alice, fake_model, settings, monkeypatch
):
    monkeypatch.setattr(pieces, "PIECE_S", 2)
    monkeypatch.setattr(pieces, "SEARCH_S", 1)
    async with working():
        file_id = await upload(alice, tone(5.0))
    settings.TRANSCRIPTION = JSON
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    await Transcription.objects.acreate(file_id=file_id, pieces=["Already", "here"], attempts=1)
    async with working():
        state = await transcribed(alice, file_id)
    whole = len(pieces.cut(tone(5.0)))
    assert len(fake_model.requests) == whole - 2 == len(await charges())
    assert state["text"].splitlines() == ["Already", "here", *["Hello"] * (whole - 2)]


def test_sound_is_cut_where_it_is_quiet(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_S", 10)
    loud, quiet = tone(8.0)[44:], silence(1.0)[44:]
    whole = pieces._wav(
        loud + quiet + loud, pieces.wave.open(pieces.io.BytesIO(tone())).getparams()
    )
    first, second = pieces.cut(whole)
    length = (len(first) - 44) / 32_000
    assert 8.0 < length < 9.0 and len(first) + len(second) == len(whole) + 44


async def test_another_worker_takes_over_and_a_late_one_stores_and_charges_nothing(
    no_worker, alice, settings, monkeypatch
):
    settings.TRANSCRIPTION = JSON
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    async with working():
        file_id = await upload(alice, tone())
        await transcribed(alice, file_id)
    await Transcription.objects.filter(file_id=file_id).aupdate(state="waiting", run=2, attempts=0)
    late = await sync_to_async(transcriber._claim)()
    await Transcription.objects.filter(file_id=file_id).aupdate(leased_until=None)
    quick = await sync_to_async(transcriber._claim)()
    assert quick.attempts == late.attempts + 1
    await transcriber._transcribe(quick)
    await transcriber._transcribe(late)
    assert await charges() == [100, 100]  # one for each run
    assert (await state_of(alice, file_id))["text"] == "Hello"


async def test_sound_that_kills_its_workers_is_given_up(no_worker, alice, settings):
    async with working():
        file_id = await upload(alice, tone())
    settings.TRANSCRIPTION = JSON
    await Transcription.objects.acreate(file_id=file_id, attempts=transcriber.MAX_ATTEMPTS)
    assert await sync_to_async(transcriber._claim)() is None
    assert (await state_of(alice, file_id))["transcription"] == "failed"


async def test_sound_that_is_erased_meanwhile_costs_nothing(no_worker, alice, fake_model, settings):
    settings.TRANSCRIPTION = f"{JSON}&headers_ms=1000"
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    async with working():
        file_id = await upload(alice, tone())
        async with asyncio.timeout(20):
            while not fake_model.requests:
                await asyncio.sleep(0.02)
        assert (await alice.client.delete(f"/api/files/{file_id}")).status_code == 204
        async with asyncio.timeout(20):
            while await StoredFile.objects.filter(id=file_id).aexists():
                await asyncio.sleep(0.02)
        async with asyncio.timeout(20):
            while fake_model.report()["active"]:
                await asyncio.sleep(0.02)
    assert await charges() == []
    assert not await Transcription.objects.aexists()
    assert await sync_to_async(lambda: list(objects.stored_ids()))() == []


async def own_key(person, provider):
    owner = await User.objects.aget(id=person.user["id"])
    verdict = Verdict(ProviderKey.Status.OK, [])
    return await sync_to_async(provider_keys.save)(owner, provider, KEY, verdict)


async def test_an_own_key_is_used_where_the_site_has_no_price(
    no_worker, alice, fake_model, settings, monkeypatch
):
    """It costs its owner nothing here."""
    monkeypatch.setattr(provider_keys, "url_of", lambda row: fake_model.openrouter_url)
    settings.TRANSCRIPTION = JSON
    async with working():
        await upload(alice, tone())
        await User.objects.filter(id=alice.user["id"]).aupdate(
            is_guest=False, email="alice@example.org"
        )
        await own_key(alice, "openrouter")
        file_id = await upload(alice, tone())
        state = await transcribed(alice, file_id)
    assert (state["transcription"], state["text"]) == ("done", "Hello")
    assert fake_model.requests[-1]["headers"]["authorization"] == f"Bearer {KEY}"
    booked = await usage()
    assert (booked.free, booked.charged_micro_usd) == ("own_key", 0)
    await nothing_is_off()


async def test_the_sound_of_one_person_does_not_hold_up_that_of_another(
    no_worker, alice, bob, settings
):
    async with working():
        ids = [await upload(person, tone()) for person in (alice, alice, bob)]
    for file_id in ids:
        await Transcription.objects.acreate(file_id=file_id)
    settings.TRANSCRIPTION = JSON
    claimed = [await sync_to_async(transcriber._claim)() for _ in ids]
    assert [str(row.file_id) for row in claimed] == [ids[0], ids[2], ids[1]]


async def test_a_worker_that_leaves_gives_its_sound_back(no_worker, alice, fake_model, settings):
    settings.TRANSCRIPTION = f"{JSON}&headers_ms=60000"
    settings.TRANSCRIPTION_USD_PER_MINUTE = Decimal("0.006")
    async with working():
        file_id = await upload(alice, tone())
        async with asyncio.timeout(20):
            while not fake_model.requests:
                await asyncio.sleep(0.02)
    row = await Transcription.objects.aget(file_id=file_id)
    assert (row.state, row.attempts, row.leased_until) == ("waiting", 0, None)
