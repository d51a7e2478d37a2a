"""What spoken answers cost: the tokens of their sound, held before the call at their own rate."""

import pytest
from asgiref.sync import sync_to_async

from billing.models import Hold, Usage
from billing.pages.explanations import explain
from chat.llm.stream.sound_data import ms_of
from chat.llm.tokens import spoken_tokens
from tests.chat.charging.conftest import holdfast
from tests.chat.charging.priced_answers import (
    GUEST,
    IN,
    OUT,
    answered,
    balance,
    charges_of,
    differences,
    ended,
    send,
    usage_of,
)
from tests.chat.files.file_requests import code_of
from tests.chat.files.spoken.speakers import begun, heard, stored, told
from tests.chat.page_requests import new_message, post_message
from tests.fake_model import PRICING

__all__ = ["holdfast"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

SPOKEN = 80  # micro-USD for a token of sound
SPEAKS, DEAR = "openrouter/speaks?audio=1000&tokens=4", "openrouter/dear?audio=1000&tokens=4"
SILENT, CUT = "openrouter/silent?audio=1000&tokens=4", "openrouter/cut?audio=9000&tokens=90&rate=20"


@pytest.fixture
def speaks(holdfast):
    names = [model.partition("/")[2] for model in (SPEAKS, DEAR, SILENT, CUT)]
    holdfast.list_models("script/known", *names)
    for name, rate in zip(names, ("0.00008", "0.004", None, "0.00008"), strict=True):
        holdfast.price(name, PRICING | ({"audio_output": rate} if rate else {}))
    return holdfast


async def test_sound_is_charged_by_its_tokens(speaks, worker, alice):
    reply = await answered(alice, "Speak", model=SPEAKS)
    [usage] = await usage_of(reply)
    assert usage.audio_output_tokens == spoken_tokens(1_000) and not usage.estimated
    cost = usage.prompt_tokens * IN + 4 * OUT + usage.audio_output_tokens * SPOKEN
    assert await charges_of(reply) == [cost]
    assert (await balance(alice)).balance_micro_usd == GUEST - cost
    lines = await sync_to_async(lambda: explain(Usage.objects.select_related("price").get()))()
    assert ("of sound, made", 20) in [(row.kind, row.tokens) for row in lines.rows]
    assert await differences() == []


async def test_the_cost_that_openrouter_reports_counts(speaks, worker, alice):
    reply = await answered(alice, "[[cost=0.00123]] Speak", model=SPEAKS)
    assert await charges_of(reply) == [1_230]
    assert await differences() == []


async def test_the_hold_has_all_tokens_at_the_dearest_rate(speaks, worker, alice):
    _, reply = await send(alice, "Speak", model=CUT)
    await begun(reply)
    await alice.until(reply, lambda message: bool(message.text))
    hold = await Hold.objects.aget(state="open")
    limit = speaks.requests[-1]["body"]["max_tokens"]
    assert hold.amount_micro_usd >= limit * SPOKEN
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    await alice.settled(reply)
    await ended(reply)


async def test_a_stopped_answer_pays_for_the_milliseconds_that_are_stored(speaks, worker, alice):
    _, reply = await send(alice, "Speak", model=CUT)
    await heard(alice, await begun(reply), until=24_000)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    await alice.settled(reply)
    await ended(reply)
    sound = await stored(alice, await told(alice, reply))
    [usage] = await usage_of(reply)
    assert usage.estimated and usage.audio_output_tokens == spoken_tokens(ms_of(len(sound)))
    written = usage.completion_tokens - usage.audio_output_tokens
    cost = usage.prompt_tokens * IN + written * OUT + usage.audio_output_tokens * SPOKEN
    assert await charges_of(reply) == [cost]
    assert await differences() == []


async def test_sound_beyond_what_credit_allows_is_not_taken(speaks, worker, alice):
    """The provider ignores `max_tokens`; a second is 20 tokens."""
    person = (await Hold.objects.acount(), alice)[1]
    text = "[[tokens=100&audio=100000]] Long"
    reply = await answered(person, text, model=SPEAKS)
    [usage] = await usage_of(reply)
    limit = speaks.requests[-1]["body"]["max_tokens"]
    sound = await stored(person, await told(person, reply))
    assert spoken_tokens(ms_of(len(sound))) <= limit + 200
    assert usage.charged_micro_usd <= GUEST and await differences() == []


async def test_credit_must_reach_for_the_shortest_answer(speaks, worker, alice):
    response = await post_message(alice, new_message("Speak", model=DEAR))
    assert code_of(response) == (402, "out_of_credit")
    assert not speaks.requests


async def test_without_a_rate_for_sound_it_only_writes_on_credit(speaks, worker, alice):
    reply = await answered(alice, "Speak", model=SILENT)
    assert "audio" not in speaks.requests[-1]["body"]
    [usage] = await usage_of(reply)
    assert not usage.audio_output_tokens and await differences() == []
