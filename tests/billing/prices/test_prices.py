"""Prices: which are accepted, which are refused, and how a cost is computed."""

import json
import uuid
from dataclasses import replace
from decimal import Decimal

import pytest
import time_machine

from billing.models import Price
from billing.prices import genai as price_table
from billing.prices import openrouter as openrouter_prices
from billing.prices import versions as prices
from billing.prices.versions import BadPrice, Rates
from billing.token_usage import TokenUsage

GOOD = {"prompt": "0.00000015", "completion": "0.0000006", "request": "0"}


def a_price(**rates):
    given = {"input_micro_usd": 150_000, "output_micro_usd": 600_000} | rates
    return Price(model="a", version=1, **given)


def test_a_list_is_read_exactly():
    rates = openrouter_prices.read(
        GOOD | {"input_cache_read": "0.000000075", "image": "0.0014", "request": "0.005"}
    )
    assert rates == Rates(
        150_000, 600_000, 75_000, None, image_micro_usd=1_400, audio_micro_usd=0,
        per_request_micro_usd=5_000,
    )  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": "-1"},
        {"completion": "-0.000001"},
        {"prompt": "NaN"},
        {"prompt": "Infinity"},
        {"prompt": ""},
        {"prompt": "free"},
        {"prompt": None},
        {"prompt": 0.1},
        {"prompt": True},
        {"prompt": "0.02"},
        {"completion": "9e99"},
        {"request": "-1"},
        {"request": "101"},
        {"input_cache_read": "-1"},
        {"internal_reasoning": "-1"},
        {"image": "1e9"},
        {"input_cache_write": "-1"},
        {"overrides": "nonsense"},
        {"overrides": "{}"},
        {"overrides": "[1]"},
        {"overrides": '[{"min_prompt_tokens": "many", "prompt": "1"}]'},
        {"overrides": '[{"min_prompt_tokens": 0, "prompt": "0.1"}]'},
        {"overrides": '[{"utc_start": "01:00", "prompt": "-1"}]'},
    ],
)
def test_an_invalid_price_in_a_list_is_refused(wrong):
    with pytest.raises(BadPrice):
        openrouter_prices.read(GOOD | wrong)


@pytest.mark.parametrize("missing", ["prompt", "completion"])
def test_an_incomplete_price_is_refused(missing):
    with pytest.raises(BadPrice):
        openrouter_prices.read({kind: text for kind, text in GOOD.items() if kind != missing})


def test_openrouters_price_ends_where_long_prompts_cost_more():
    overrides = [
        {"min_prompt_tokens": 500_000, "prompt": "0.000002"},
        {"min_prompt_tokens": 200_000, "prompt": "0.000001", "completion": "0.000002"},
    ]
    rates = openrouter_prices.read(GOOD | {"overrides": json.dumps(overrides)})
    assert rates == replace(openrouter_prices.read(GOOD), prompt_limit_tokens=200_000)


def test_openrouters_price_is_that_of_the_dearest_hours():
    peak = {"utc_start": "01:00", "utc_end": "04:00", "prompt": "0.0000003"}
    rates = openrouter_prices.read(GOOD | {"overrides": json.dumps([peak])})
    assert (rates.input_micro_usd, rates.output_micro_usd) == (300_000, 600_000)
    assert rates.prompt_limit_tokens is None


@pytest.mark.parametrize(
    ("used", "cost"),
    [
        (TokenUsage(0, 0), 0),
        (TokenUsage(1, 0), 1),  # 0.15 micro-USD
        (TokenUsage(6, 0), 1),
        (TokenUsage(7, 0), 2),
        (TokenUsage(1, 1), 1),  # 0.15 + 0.6: the sum is rounded once
        (TokenUsage(1_000_000, 1_000_000), 750_000),
        (TokenUsage(1_000_000, 0, cached_tokens=1_000_000), 150_000),
    ],
)
def test_a_cost_is_rounded_up_once(used, cost):
    assert prices.cost_of(a_price(), used) == cost


def test_each_kind_of_token_has_its_rate():
    price = a_price(
        cached_input_micro_usd=75_000, reasoning_micro_usd=1_000_000, per_request_micro_usd=7
    )
    used = TokenUsage(1_000_000, 1_000_000, 400_000, 500_000)
    assert prices.cost_of(price, used) == 90_000 + 30_000 + 300_000 + 500_000 + 7


def test_cache_writes_have_their_rate_and_are_held_for():
    price = a_price(cached_input_micro_usd=15_000, cache_write_micro_usd=187_500)
    used = TokenUsage(1_000_000, 0, cached_tokens=400_000, cache_write_tokens=600_000)
    assert prices.cost_of(price, used) == 6_000 + 112_500
    written = TokenUsage(1_000_000, 0, cache_write_tokens=1_000_000)
    assert prices.cost_of(price, written) == prices.worst_case(price, 1_000_000, 0) == 187_500
    assert prices.cost_of(a_price(), written) == 150_000


def test_tokens_of_sound_have_their_rate_and_are_held_for():
    price = a_price(audio_micro_usd=1_000_000)
    used = TokenUsage(1_000_000, 0, cached_tokens=400_000, audio_tokens=500_000)
    assert prices.cost_of(price, used) == 500_000 + 500_000 * 150_000 // 10**6
    all_sound = TokenUsage(1_000_000, 0, audio_tokens=1_000_000)
    held = 1_000_000 + prices.tokens_worth_sound(price, 1_000_000)
    assert prices.worst_case(price, held, 0) >= prices.cost_of(price, all_sound) == 1_000_000
    for without in (a_price(), a_price(audio_micro_usd=0)):
        assert prices.cost_of(without, all_sound) == 150_000
        assert prices.tokens_worth_sound(without, 1_000_000) == 0


def test_sound_that_is_written_down_costs_by_its_length():
    price = a_price(input_micro_usd=0, output_micro_usd=0, sound_micro_usd=100_000)
    assert prices.cost_of(price, TokenUsage(0, 0, sound_ms=60_000)) == 6_000
    assert not prices.costs_nothing(prices.rates_of(price))


@pytest.mark.parametrize("money", [0, 1, 7, 999, 1_000, 123_456, 10**9])
@pytest.mark.parametrize("prompt", [0, 1, 333, 100_000])
def test_an_affordable_answer_costs_no_more_than_the_credit(prompt, money):
    price = a_price(reasoning_micro_usd=700_001, per_request_micro_usd=3)
    tokens = prices.affordable_tokens(price, prompt, money)
    if prices.worst_case(price, prompt, 0) <= money:
        assert prices.worst_case(price, prompt, tokens) <= money
        assert prices.worst_case(price, prompt, tokens + 3) > money
    else:
        assert tokens == 0


@pytest.mark.django_db
def test_only_changed_rates_make_a_version():
    model = "openrouter/a"
    for _ in range(3):
        assert prices.offer(model, Rates(1, 2), "openrouter").version == 1
    assert prices.offer(model, Rates(1, 3), "openrouter").version == 2
    assert prices.offer(model, Rates(1, 2), "openrouter").version == 3
    by_staff = prices.set_by_staff(model, Rates(9, 9), uuid.uuid4())
    assert prices.offer(model, Rates(1, 5), "openrouter") == by_staff == prices.current(model)
    followed = prices.follow_lists(model)
    assert (followed.version, followed.output_micro_usd, followed.source) == (5, 2, "openrouter")
    assert prices.follow_lists(model) is None
    assert prices.offer(model, Rates(1, 6), "openrouter").version == 6
    prices.set_by_staff("openrouter/b", Rates(9, 9), uuid.uuid4())
    assert prices.follow_lists("openrouter/b") is None


@pytest.mark.django_db
def test_a_tenfold_change_is_logged(caplog):
    for rates in (Rates(2_000_000, 8_000_000), Rates(3_000_000, 9_000_000)):
        prices.offer("openrouter/a", rates, "openrouter")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    prices.offer("openrouter/a", Rates(3_000_000_000, 900_000), "openrouter")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "openrouter/a: input_micro_usd jumps from 3000000 to 3000000000, by openrouter",
        "openrouter/a: output_micro_usd jumps from 9000000 to 900000, by openrouter",
    ]


def test_staff_cannot_set_an_invalid_price():
    for rates in ({"input_micro_usd": -1}, {"output_micro_usd": 10**11}):
        with pytest.raises(BadPrice):
            Rates(**{"input_micro_usd": 1, "output_micro_usd": 1} | rates)


def test_the_table_knows_the_models_of_public_providers():
    rates = price_table.look_up("gpt-4o-mini", "https://api.openai.com/v1")
    assert (rates.input_micro_usd, rates.output_micro_usd) == (150_000, 600_000)
    assert rates.cached_input_micro_usd == 75_000
    assert price_table.look_up("gpt-4o-mini-2024-07-18", "https://api.openai.com/v1") == rates


def test_a_tiered_price_is_limited_to_its_first_tier():
    rates = price_table.look_up("gpt-5.4", "https://api.openai.com/v1")
    assert rates.input_micro_usd == int(Decimal("2.5") * 1_000_000)
    assert rates.prompt_limit_tokens == 272_000


def test_the_table_has_rates_of_caches_and_reasoning():
    rates = price_table.look_up("gpt-5.6-luna", "https://api.openai.com/v1")
    assert rates.cache_write_micro_usd * 4 == rates.input_micro_usd * 5
    name = "perplexity/sonar-deep-research"
    assert (
        price_table.look_up(name, "https://openrouter.ai/api/v1").reasoning_micro_usd == 3_000_000
    )


def test_the_table_knows_googles_models_as_googles_list_names_them():
    google = "https://generativelanguage.googleapis.com/v1beta/openai"
    rates = price_table.look_up("models/gemini-2.5-flash", google)
    assert (rates.input_micro_usd, rates.output_micro_usd) == (300_000, 2_500_000)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("gpt-4o-mini-search-preview", "https://api.openai.com/v1"),
        ("gpt-5-search-api", "https://api.openai.com/v1"),
        ("sonar-deep-research", "https://api.perplexity.ai"),
        ("gemma-3-27b-it", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ],
)
def test_models_with_uncounted_costs_have_no_price(name, address):
    with pytest.raises(BadPrice):
        price_table.look_up(name, address)


def test_the_table_has_prices_of_pictures():
    made = price_table.look_up(
        "gemini-2.5-flash-image", "https://generativelanguage.googleapis.com/v1beta/openai"
    )
    assert (made.output_micro_usd, made.image_output_micro_usd) == (2_500_000, 30_000_000)
    read = price_table.look_up("gpt-image-1", "https://api.openai.com/v1")
    assert (read.input_micro_usd, read.image_input_micro_usd) == (5_000_000, 10_000_000)


def test_openrouters_list_has_prices_of_pictures():
    listed = GOOD | {"image_token": "0.00001", "image_output": "0.00003"}
    rates = openrouter_prices.read(listed)
    assert (rates.image_input_micro_usd, rates.image_output_micro_usd) == (10_000_000, 30_000_000)


def test_tokens_of_pictures_cost_what_their_price_says():
    usage = TokenUsage(1_000, 2_000, 100, 200, image_tokens=1_300, image_input_tokens=600)
    plain = a_price()
    assert prices.cost_of(plain, usage) == prices.cost_of(plain, TokenUsage(1_000, 2_000))
    price = a_price(image_input_micro_usd=10_000_000, image_output_micro_usd=30_000_000)
    counts = {part.kind: part.count for part in prices.parts_of(price, usage) if part.count}
    assert counts == {
        "input": 300,
        "image_input": 600,
        "cached_input": 100,
        "output": 500,
        "image_output": 1_300,
        "reasoning": 200,
    }
    assert prices.cost_of(price, usage) == -(
        -(400 * 150_000 + 600 * 10_000_000 + 700 * 600_000 + 1_300 * 30_000_000) // 10**6
    )
    # A hold covers an answer that is pictures alone.
    assert prices.worst_case(price, 1_000, 2_000) == 1_000 * 10 + 2_000 * 30
    assert prices.affordable_tokens(price, 1_000, 1_000 * 10 + 2_000 * 30) == 2_000


def test_a_time_dependent_price_is_the_current_one():
    def at(moment, name="deepseek-v4-pro", address="https://api.deepseek.com"):
        with time_machine.travel(moment, tick=False):
            return price_table.look_up(name, address).input_micro_usd

    assert at("2026-11-20T12:00:00Z") * 2 == at("2026-11-20T02:00:00Z")
    assert at("2026-11-20T12:00:00Z") * 2 == at("2026-11-20T07:00:00Z")
    luna = ("gpt-5.6-luna", "https://api.openai.com/v1")
    assert at("2026-07-29T23:59:00Z", *luna) == 5 * at("2026-07-30T00:00:00Z", *luna)


def test_the_table_has_no_unknown_models_or_providers():
    assert price_table.look_up("script/known", "https://api.openai.com/v1") is None
    assert price_table.look_up("gpt-4o-mini", "https://models.example.org/v1") is None


def test_sound_that_is_made_has_a_price_of_its_own():
    listed = openrouter_prices.read(GOOD | {"audio": "0.00004", "audio_output": "0.00008"})
    assert (listed.audio_micro_usd, listed.audio_output_micro_usd) == (40_000_000, 80_000_000)
    table = price_table.look_up("gpt-audio", "https://api.openai.com/v1")
    assert table.audio_output_micro_usd == 64_000_000
    usage = TokenUsage(1_000, 2_000, 0, 200, audio_output_tokens=1_300)
    plain = a_price()
    assert prices.cost_of(plain, usage) == prices.cost_of(plain, TokenUsage(1_000, 2_000))
    price = a_price(audio_output_micro_usd=80_000_000)
    counts = {part.kind: part.count for part in prices.parts_of(price, usage) if part.count}
    assert counts == {"input": 1_000, "output": 500, "audio_output": 1_300, "reasoning": 200}
    assert prices.worst_case(price, 0, 10) == 800
    # No report makes more of it than the answer has.
    assert prices.parts_of(price, TokenUsage(0, 5, audio_output_tokens=9).bounded())
    assert TokenUsage(0, 5, audio_output_tokens=9).bounded().audio_output_tokens == 5
