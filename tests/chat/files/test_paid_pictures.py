"""What pictures and sound cost: their tokens, and prices of their own, are held before the call."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async

from billing.models import Hold, Usage
from billing.pages.explanations import explain
from billing.prices import versions as prices
from billing.prices.versions import MILLION, Rates
from chat.files.pictures import picture_tokens
from chat.generation.reply_log import ReplyLog
from chat.llm.tokens import PICTURE_OUTPUT_TOKENS, SOUND_TOKENS_PER_S
from tests.chat.charging.conftest import holdfast
from tests.chat.charging.priced_answers import (
    GUEST,
    IN,
    MODEL,
    OUT,
    answered,
    balance,
    charges_of,
    differences,
    ended,
    send,
    usage_of,
)
from tests.chat.files.file_requests import code_of, picture, upload
from tests.chat.files.generated.killing import kill_once
from tests.chat.files.sound.sounds import tone
from tests.chat.page_requests import new_message, post_message
from tests.chat.workers import working
from tests.fake_model import IMAGE_TOKENS, PRICING

__all__ = ["holdfast"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1, 1), 258),
        ((400, 400), 258),
        ((800, 600), 85 + 170 * 4),
        ((1568, 1568), 258 * 9),
        ((4000, 3000), 1568 * 1176 // 750),
    ],
)
def test_a_picture_counts_as_the_strictest_provider_counts_it(size, tokens):
    assert picture_tokens(*size) >= tokens
    if size == (1568, 1568):
        assert picture_tokens(*size) == max(1568 * 1568 // 750, tokens, 85 + 170 * 16)


async def held_with(person, files, **fields):
    """What is held while an answer is written."""
    _, reply = await send(person, "[[tokens=400&rate=100]] Long", files=files, **fields)
    await person.until(reply, lambda message: bool(message.text), fields.get("chat"))
    hold = await Hold.objects.aget(state="open")
    chat = fields.get("chat") or person.chat
    await person.post(f"/api/chats/{chat}/replies/{reply}/stop")
    await ended(reply)
    return hold.amount_micro_usd


async def test_its_tokens_and_its_own_price_are_held(worker, alice, settings):
    settings.VISION_MODELS = ["known"]
    each = 7_000
    file_id = await upload(alice, picture(40, 40))
    rates = Rates(IN * MILLION, OUT * MILLION, image_micro_usd=each)
    await sync_to_async(prices.set_by_staff)(MODEL, rates, uuid.uuid4())
    without = await held_with(alice, [], chat=str(uuid.uuid4()))
    with_picture = await held_with(alice, [file_id])
    # Also the line that names it, of less than 100 tokens.
    more = with_picture - without - picture_tokens(40, 40) * IN - each
    assert 0 <= more < 100 * IN


async def test_sound_is_held_and_charged_at_its_own_rate(worker, alice, settings):
    settings.HEARING_MODELS = ["known"]
    file_id = await upload(alice, tone(2.0), "note.wav")
    rates = Rates(IN * MILLION, OUT * MILLION, audio_micro_usd=5 * IN * MILLION)
    await sync_to_async(prices.set_by_staff)(MODEL, rates, uuid.uuid4())
    without = await held_with(alice, [], chat=str(uuid.uuid4()))
    with_sound = await held_with(alice, [file_id])
    more = with_sound - without - 64 * 5 * IN
    assert 0 <= more < 100 * IN
    text, chat = "[[tokens=3&audio_tokens=9]] Listen", str(uuid.uuid4())
    reply = await answered(alice, text, files=[await upload(alice, tone(2.0), "a.wav")], chat=chat)
    [row] = await usage_of(reply)
    assert row.audio_tokens == 9
    assert row.charged_micro_usd == (row.prompt_tokens - 9) * IN + 9 * 5 * IN + 3 * OUT
    assert await differences() == []


# Pictures that models make

DRAWS = "openrouter/draw?images=1&tokens=4"
DEAR, UNPRICED = "openrouter/dear?images=1", "openrouter/unpriced?images=1"
# $30 for a million tokens of pictures, $20 for others.
DRAWN = 30
PRICED = PRICING | {"image_output": "0.00003", "image_token": "0.00002"}


@pytest.fixture
def draws(holdfast):
    drawn, dear, unpriced = (model.partition("/")[2] for model in (DRAWS, DEAR, UNPRICED))
    holdfast.list_models("script/known", drawn, dear, unpriced)
    holdfast.price(drawn, PRICED)
    holdfast.price(dear, PRICED | {"image_output": "0.0005"})
    holdfast.price(unpriced, None)
    return holdfast


async def test_a_picture_is_charged_by_its_tokens(draws, worker, alice):
    reply = await answered(alice, "Draw", model=DRAWS)
    [usage] = await usage_of(reply)
    assert usage.image_tokens == IMAGE_TOKENS and not usage.estimated
    cost = usage.prompt_tokens * IN + 4 * OUT + IMAGE_TOKENS * DRAWN
    assert await charges_of(reply) == [cost]
    assert (await balance(alice)).balance_micro_usd == GUEST - cost
    lines = await sync_to_async(lambda: explain(Usage.objects.select_related("price").get()))()
    assert ("of pictures, made", IMAGE_TOKENS) in [(row.kind, row.tokens) for row in lines.rows]
    assert await differences() == []


async def test_the_cost_that_openrouter_reports_counts(draws, worker, alice):
    reply = await answered(alice, "[[cost=0.00123]] Draw", model=DRAWS)
    assert await charges_of(reply) == [1_230]
    assert await differences() == []


async def test_a_stopped_answer_pays_for_the_pictures_that_are_stored(draws, worker, alice):
    text = "[[images=3&image_ms=900&tokens=0]] Draw"
    _, reply = await send(alice, text, model=DRAWS)
    await alice.until(reply, lambda message: message.files)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    message = await alice.settled(reply)
    await ended(reply)
    [usage] = await usage_of(reply)
    made = len(message.files)
    assert usage.estimated and usage.image_tokens == made * PICTURE_OUTPUT_TOKENS
    assert await charges_of(reply) == [usage.prompt_tokens * IN + usage.image_tokens * DRAWN]
    assert await differences() == []


async def test_one_whose_worker_dies_is_charged_once(draws, worker, alice, monkeypatch):
    killed = kill_once(monkeypatch, ReplyLog, "append_image", False)
    reply = await answered(alice, "Draw", model=DRAWS)
    [usage] = await usage_of(reply)
    assert killed and usage.image_tokens == PICTURE_OUTPUT_TOKENS
    assert len((await alice.message(reply)).files) == 1
    assert await differences() == []


async def test_credit_must_reach_for_a_picture(draws, worker, alice):
    response = await post_message(alice, new_message("Draw", model=DEAR))
    assert code_of(response) == (402, "out_of_credit")
    assert not draws.requests


async def test_without_a_price_it_is_not_offered_on_credit(draws, worker, alice):
    response = await post_message(alice, new_message("Draw", model=UNPRICED))
    assert code_of(response)[1] == "no_price"


@pytest.mark.parametrize(
    "script",
    [
        "first_ms=60000",  # before the first word
        "tokens=400&rate=40",
        "tokens=400&rate=40&reasoning=9",
    ],
)
async def test_a_stopped_answer_pays_for_the_sound_at_its_own_rate(
    worker, alice, settings, holdfast, script
):
    await sound_price(settings)
    file_id = await upload(alice, tone(), "note.wav")
    _, reply = await send(alice, f"[[{script}]] What is it?", files=[file_id])
    if "tokens" in script:
        await alice.until(reply, lambda message: bool(message.text))
    else:
        await alice.until(reply, lambda message: message.attempt == 1)
        async with asyncio.timeout(20):
            while not any("chat/completions" in r["path"] for r in holdfast.requests):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)  # The provider's response has begun.
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    assert await ended(reply) == "stopped"
    await sound_is_paid(reply)


async def test_an_answer_without_a_report_pays_for_the_sound_at_its_own_rate(
    worker, alice, settings
):
    await sound_price(settings)
    file_id = await upload(alice, tone(), "note.wav")
    _, reply = await send(alice, "[[tokens=9&no_usage=1]] What is it?", files=[file_id])
    assert await ended(reply) == "done"
    await sound_is_paid(reply)


async def test_an_attempt_that_the_next_worker_charges_pays_for_the_sound_at_its_own_rate(
    no_worker, alice, settings
):
    await sound_price(settings)
    async with working():
        file_id = await upload(alice, tone(), "note.wav")
        _, reply = await send(alice, "[[tokens=60&rate=60]] What is it?", files=[file_id])
        await alice.until(reply, lambda message: len(str(message.text)) > 20)
    async with working():
        assert await ended(reply) == "done"
    first, second = sorted(await usage_of(reply), key=lambda usage: usage.key)
    assert first.audio_tokens == SOUND_TOKENS_PER_S
    assert await charges_of(reply) == [paid(first), paid(second)]
    assert await differences() == []


SOUND_RATE = 7 * IN


async def sound_price(settings):
    settings.HEARING_MODELS = ["known"]
    rates = Rates(IN * MILLION, OUT * MILLION, audio_micro_usd=SOUND_RATE * MILLION)
    await sync_to_async(prices.set_by_staff)(MODEL, rates, uuid.uuid4())


def paid(usage):
    heard = usage.audio_tokens or 0
    words = usage.prompt_tokens - heard
    return words * IN + heard * SOUND_RATE + usage.completion_tokens * OUT


async def sound_is_paid(reply):
    [usage] = await usage_of(reply)
    assert (usage.audio_tokens, usage.estimated) == (SOUND_TOKENS_PER_S, True)
    assert await charges_of(reply) == [paid(usage)]
    assert await differences() == []
