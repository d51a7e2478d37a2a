"""What pictures and sound cost: their tokens, and prices of their own, are held before the call."""

import uuid

import pytest
from asgiref.sync import sync_to_async

from billing.models import Hold
from billing.prices import versions as prices
from billing.prices.versions import MILLION, Rates
from chat.files.pictures import picture_tokens
from tests.chat.charging.conftest import holdfast
from tests.chat.charging.priced_answers import (
    IN,
    MODEL,
    OUT,
    answered,
    differences,
    ended,
    send,
    usage_of,
)
from tests.chat.files.file_requests import picture, upload
from tests.chat.files.sounds import tone

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
