"""Prices that change while they are used, figures that are not the whole cost, and early stops."""

import asyncio
import uuid

import pytest
import time_machine
from asgiref.sync import sync_to_async

from billing.models import Hold, Price
from billing.prices import versions as prices
from billing.prices.versions import Rates
from chat.charging import pricing
from chat.charging.answer_charge import AnswerCharge
from chat.charging.price_refresh import record_prices
from chat.charging.pricing import price_of, within_price
from chat.generation import generation
from chat.generation.generation import Generation
from chat.llm.catalogue import get_catalogue, reset_catalogue
from chat.llm.endpoints import Endpoint, Model
from tests.chat.charging.priced_answers import (
    IN,
    MODEL,
    OUT,
    answered,
    balance,
    charges_of,
    differences,
    ended,
    send,
    table_cost,
    usage_of,
)
from tests.chat.page_requests import new_message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def test_an_answer_on_the_operators_own_key_costs_what_that_was_charged(worker, alice):
    reply = await answered(alice, "[[tokens=30&byok=0.0001234]] Tell me")
    assert await charges_of(reply) == [124]
    assert await differences() == []


async def test_reasoning_beside_the_answer_is_paid_for(worker, alice):
    reply = await answered(alice, "[[tokens=30&reasoning=50&beside=1]] Tell me")
    [usage] = await usage_of(reply)
    assert (usage.completion_tokens, usage.reasoning_tokens) == (80, 50)
    assert await charges_of(reply) == [usage.prompt_tokens * IN + 80 * OUT] == [table_cost(usage)]


async def test_an_answer_without_reported_tokens_costs_by_our_count(worker, alice):
    reply = await answered(alice, "[[tokens=30&says=0]] Tell me")
    [usage] = await usage_of(reply)
    assert usage.estimated and usage.completion_tokens > 20
    assert await charges_of(reply) == [table_cost(usage)]


async def offered(alice):
    listed = (await alice.client.get("/api/models")).json()
    return MODEL in [model["id"] for model in listed["models"]]


async def refused(alice):
    body = new_message(model=MODEL)
    response = await alice.post(f"/api/chats/{uuid.uuid4()}/messages", **body)
    return response.status_code == 422 and response.json()["error"]["code"] == "no_price"


@pytest.fixture
def known_for_no_time(monkeypatch):
    monkeypatch.setattr("chat.charging.offered.KNOWN_FOR_S", 0)


async def test_a_price_that_its_list_withdraws_no_longer_applies(
    no_worker, alice, holdfast, known_for_no_time
):
    await record_prices()
    assert await offered(alice) and not await refused(alice)
    holdfast.price("script/known", {"prompt": "-1", "completion": "-1"})
    await reset_catalogue()
    await record_prices()
    assert not await offered(alice) and await refused(alice)
    rates = Rates(input_micro_usd=IN * 10**6, output_micro_usd=OUT * 10**6)
    await sync_to_async(prices.set_by_staff)(MODEL, rates, uuid.uuid4())
    assert await offered(alice) and not await refused(alice)


async def test_a_model_of_openrouters_is_used_up_to_where_its_price_rises(no_worker, holdfast):
    overrides = [{"min_prompt_tokens": 2_000, "prompt": "0.00002"}]
    pricing = {"prompt": "0.00001", "completion": "0.00002", "overrides": overrides}
    holdfast.price("script/known", pricing)
    await record_prices()
    price = await Price.objects.aget(model=MODEL)
    model = await get_catalogue().find(MODEL)
    assert model.context_tokens > 2_000
    assert within_price(model, price).context_tokens == price.prompt_limit_tokens == 2_000


def test_a_call_costs_what_the_table_has_for_its_hour():
    endpoint = Endpoint("openai", "https://api.deepseek.com/v1", "k")
    model = Model("openai/deepseek-v4-pro", "V4", endpoint, 64_000)
    rates = []
    for hour in (12, 12, 2, 2, 12):
        with time_machine.travel(f"2026-11-20T{hour:02}:00:00Z", tick=False):
            price = price_of(model)
            rates.append((price.version, price.input_micro_usd))
    assert rates == [(1, 660_000), (1, 660_000), (2, 1_320_000), (2, 1_320_000), (3, 660_000)]
    staff = prices.set_by_staff(model.id, Rates(1, 2), uuid.uuid4())
    assert price_of(model) == staff


async def test_a_send_does_not_load_the_table_when_the_price_is_stored(
    no_worker, alice, monkeypatch
):
    rates = Rates(IN * 10**6, OUT * 10**6)
    await sync_to_async(prices.offer)(MODEL, rates, Price.Source.GENAI_PRICES)
    monkeypatch.delattr(pricing, "listed_rates")
    await send(alice, "Hello")
    assert (await Hold.objects.aget()).price_id == (await Price.objects.aget()).id


# Stopped before the first token


@pytest.fixture
def taken(monkeypatch):
    """The calls that the provider has accepted."""
    calls = []
    real = AnswerCharge.mark_accepted
    monkeypatch.setattr(
        AnswerCharge, "mark_accepted", lambda charge: (real(charge), calls.append(charge))
    )
    return calls


async def stopped(alice, reply, is_there):
    async with asyncio.timeout(20):
        while not is_there():
            await asyncio.sleep(0.02)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    assert await ended(reply) == "stopped"
    assert await differences() == []
    assert (await balance(alice)).held_micro_usd == 0


async def test_a_stop_while_the_provider_reads_costs_the_prompt(worker, alice, taken):
    _, reply = await send(alice, "[[first_ms=60000]] " + "A long prompt. " * 200)
    await stopped(alice, reply, lambda: taken)
    [usage] = await usage_of(reply)
    assert usage.estimated
    assert (usage.prompt_tokens > 800, usage.completion_tokens) == (True, 0)
    assert await charges_of(reply) == [usage.prompt_tokens * IN]
    assert (await alice.message(reply)).cost_micro_usd == usage.charged_micro_usd


async def test_a_stop_before_the_provider_accepts_the_call_costs_nothing(
    worker, alice, holdfast, taken
):
    _, reply = await send(alice, "[[headers_ms=60000]] Hello")
    await stopped(alice, reply, lambda: holdfast.requests)
    assert not taken and not await usage_of(reply) and not await charges_of(reply)


async def test_a_stop_after_a_failed_call_costs_nothing(worker, alice, taken, monkeypatch):
    failed = []
    real = Generation._may_try_again

    async def may_try_again(self, message, error):
        failed.append(error)
        return await real(self, message, error)

    monkeypatch.setattr(Generation, "_may_try_again", may_try_again)
    monkeypatch.setattr(generation, "FIRST_RETRY_DELAY_S", 60)
    _, reply = await send(alice, "[[die_after=0]] Hello")
    await stopped(alice, reply, lambda: failed)
    assert taken and not await charges_of(reply)
