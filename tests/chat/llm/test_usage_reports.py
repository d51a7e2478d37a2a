"""Usage reports of providers in their different forms, and how they are read."""

from decimal import Decimal

import orjson
import pytest

from chat.charging.attempts import AttemptUsage
from chat.llm.stream.chunks import ChunkReader
from chat.llm.tokens import is_implausible, read_usage

PLAIN = {"prompt_tokens": 100, "completion_tokens": 40}


def read_tokens(usage):
    """(prompt, cached, written to the cache, completion, reasoning) tokens."""
    used = read_usage(usage).bounded()
    return (
        used.prompt_tokens,
        used.cached_tokens,
        used.cache_write_tokens,
        used.completion_tokens,
        used.reasoning_tokens,
    )


def thought(tokens):
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


def cached(**tokens):
    return {"prompt_tokens_details": tokens}


@pytest.mark.parametrize(
    ("provider", "usage", "counts"),
    [
        ("OpenAI", PLAIN | {"total_tokens": 140} | thought(30), (100, 0, 0, 40, 30)),
        ("Groq, vLLM", PLAIN | {"total_tokens": 140}, (100, 0, 0, 40, 0)),
        ("null for details", PLAIN | {"completion_tokens_details": None}, (100, 0, 0, 40, 0)),
        ("xAI", PLAIN | {"total_tokens": 440} | thought(300), (100, 0, 0, 340, 300)),
        ("xAI, no total", PLAIN | thought(300), (100, 0, 0, 340, 300)),
        ("Gemini", PLAIN | {"total_tokens": 440}, (100, 0, 0, 340, 300)),
        (
            "Gemini, thoughts alone",
            {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81} | thought(60),
            (21, 0, 0, 60, 60),
        ),
        (
            "a total of something else",
            PLAIN | {"total_tokens": 999} | thought(0),
            (100, 0, 0, 40, 0),
        ),
        ("a total too small", PLAIN | {"total_tokens": 9}, (100, 0, 0, 40, 0)),
        ("a total that is none", PLAIN | {"total_tokens": "440"}, (100, 0, 0, 40, 0)),
        ("OpenAI, from a cache", PLAIN | cached(cached_tokens=64), (100, 64, 0, 40, 0)),
        (
            "OpenAI since GPT-5.6",
            PLAIN | cached(cached_tokens=64, cache_write_tokens=30),
            (100, 64, 30, 40, 0),
        ),
        (
            "DeepSeek",
            PLAIN | {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
            (100, 64, 0, 40, 0),
        ),
        ("Moonshot", PLAIN | {"cached_tokens": 64}, (100, 64, 0, 40, 0)),
        ("LiteLLM", PLAIN | {"cache_creation_input_tokens": 90}, (100, 0, 90, 40, 0)),
        (
            "caches beside the prompt",
            PLAIN | {"total_tokens": 5_140} | cached(cached_tokens=5_000),
            (5_100, 5_000, 0, 40, 0),
        ),
    ],
)
def test_usage_is_read_as_each_provider_means_it(provider, usage, counts):
    assert read_tokens(usage) == counts


def test_a_prompt_of_no_tokens_is_not_believed():
    assert read_usage({"prompt_tokens": 0, "completion_tokens": 0}) is None
    assert read_usage({"prompt_tokens": 0, "completion_tokens": 0, "cost": 0}).cost_micro_usd == 0


@pytest.mark.parametrize(
    ("provider", "figures", "cost"),
    [
        ("OpenRouter", {"cost": Decimal("0.0001234")}, 124),
        ("OpenRouter, a free model", {"cost": 0}, 0),
        (
            "OpenRouter, its own keys",
            {"cost": Decimal("0.95"), "is_byok": False}
            | {"cost_details": {"upstream_inference_cost": Decimal("0.95")}},
            950_000,
        ),
        (
            "OpenRouter, the operator's key",
            {"cost": 0, "is_byok": True}
            | {"cost_details": {"upstream_inference_cost": Decimal("0.0360795")}},
            36_080,
        ),
        (
            "OpenRouter, the operator's key and a fee",
            {"cost": Decimal("0.0000004"), "is_byok": True}
            | {"cost_details": {"upstream_inference_cost": Decimal("0.0000005")}},
            1,
        ),
        ("... and nothing known of it", {"cost": 0, "is_byok": True}, None),
        (
            "... or nothing reported",
            {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}},
            None,
        ),
        (
            "... or nonsense",
            {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": -1}},
            None,
        ),
        ("xAI", {"cost_in_usd_ticks": 37_756_000}, 3_776),
        ("xAI, nonsense", {"cost_in_usd_ticks": -1}, None),
        (
            "Perplexity",
            {"cost": {"request_cost": Decimal("0.006"), "total_cost": Decimal("0.007")}},
            7_000,
        ),
        ("OpenAI", {}, None),
    ],
)
def test_the_reported_cost_is_the_whole_cost(provider, figures, cost):
    assert read_usage(PLAIN | figures).cost_micro_usd == cost


def reader_of(*chunks):
    reader = ChunkReader()
    reader.feed([orjson.dumps(chunk) for chunk in chunks])
    return reader


def test_the_last_usage_of_a_stream_counts():
    reports = [{"choices": [], "usage": PLAIN | {"completion_tokens": n}} for n in (1, 20, 40)]
    nulls = {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": None}}
    zeros = {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    reader = reader_of(*reports, {"choices": [], "usage": None}, nulls, zeros)
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (100, 40)


def test_usage_inside_a_choice_counts():
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": PLAIN}
    assert reader_of({"choices": [choice]}).usage.prompt_tokens == 100
    odd = {"index": 0, "delta": {}, "usage": PLAIN | {"cost": 1.5}}
    assert reader_of({"choices": [odd]}).usage.cost_micro_usd is None


def test_usage_reported_too_early_is_not_believed():
    begun = read_usage({"prompt_tokens": 100, "completion_tokens": 1})
    assert is_implausible(begun, 2_000)
    assert not is_implausible(begun, 80)
    assert is_implausible(read_usage({"prompt_tokens": 100, "completion_tokens": 0}), 1)
    assert not is_implausible(read_usage({"prompt_tokens": 100, "completion_tokens": 0}), 0)
    with_cost = {"prompt_tokens": 100, "completion_tokens": 0, "cost": 1}
    assert not is_implausible(read_usage(with_cost), 2_000)


def test_a_bill_keeps_all_usage():
    usage = read_usage(PLAIN | cached(cached_tokens=1, cache_write_tokens=2) | thought(3))
    used = usage.bounded()
    bill = orjson.loads(orjson.dumps(AttemptUsage(1, used).to_bill()))
    assert AttemptUsage.from_bill(bill) == AttemptUsage(1, used)
    old = {key: value for key, value in bill.items() if key != "cache_write_tokens"}
    assert AttemptUsage.from_bill(old).usage.cache_write_tokens == 0
