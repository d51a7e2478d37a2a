"""Counting tokens and what they cost, without floats where money is meant."""

import asyncio
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from typing import Any, TypeVar

from billing.token_usage import TokenUsage

# No tokenizer is downloaded: ASCII is cut about as they all do it, into the beginnings of words,
# what is left of long ones, up to three digits, marks and ends of lines. Other scripts take about
# 3 bytes of UTF-8, what is beyond the basic plane (emoji) half a character. Beside OpenAI's
# o200k_base that is 0.9 to 1.25 times as many for prose, code, JSON, TeX and Base64, 1.1 to 2.2
# times for other scripts, and 0.65 for letters at random: docs/billing.md says what that means.
_ASCII_TOKEN = re.compile(
    rb"(?<![a-z])[A-Z]?[a-z]{1,7}|[a-z]{1,3}|[A-Z]{1,3}|[0-9]{1,3}|[^\sA-Za-z0-9]"
    rb"|\r?\n|\t{1,16}| {16}|[\r\f\v]"
)
OTHER_BYTES_PER_TOKEN = 3
TOKENS_BEYOND_BASIC_PLANE = 2
_BEYOND_BASIC_PLANE = re.compile("[\U00010000-\U0010ffff]")
_TO_A_MARK = re.compile(rb".*[^A-Za-z0-9 \t\r\f\v]", re.DOTALL)
SLICE = 16_384  # characters
# A turn's own marks.
TOKENS_PER_TURN = 8
# No call uses more: who says so has made a mistake. It also keeps every sum within the database.
MAX_TOKENS_SAID = 100_000_000
# No text of some length has so many characters a token throughout.
MAX_CHARS_PER_TOKEN = 16
# A line of dashes may be a single token.
FEW_CHARS = 400

T = TypeVar("T")


def estimate_tokens(text: str) -> int:
    """About 50 ms for a megabyte. The audit counts anew what attempts without a bill delivered: who
    changes this changes what it expects of them."""
    plain = text.encode("ascii", "ignore")
    tokens = _count_ascii(plain)
    if len(plain) == len(text):
        return tokens
    places = range(0, len(text), SLICE)
    beyond = sum(len(_BEYOND_BASIC_PLANE.findall(text, at, at + SLICE)) for at in places)
    other_bytes = len(text.encode()) - len(plain) - 4 * beyond
    return tokens - (-other_bytes // OTHER_BYTES_PER_TOKEN) + beyond * TOKENS_BEYOND_BASIC_PLANE


async def off_loop(count: Callable[..., T], *values: Any, chars: int) -> T:
    """What `count` gives for texts of so many characters, in a thread where that takes longer than
    the event loop may be held."""
    if chars <= SLICE:
        return count(*values)
    return await asyncio.to_thread(count, *values)


def _count_ascii(plain: bytes) -> int:
    """In slices, so that a thread that counts lets others go on, and holds no list of all tokens.
    They end where a token does, but in a text of letters and spaces alone."""
    tokens = at = 0
    while at < len(plain):
        end = at + SLICE
        if end < len(plain) and (found := _TO_A_MARK.match(plain, at, end)):
            end = found.end()
        tokens += len(_ASCII_TOKEN.findall(plain, at, end))
        at = end
    return tokens


def estimated_usage(prompt_tokens: int, text: str, reasoning: str) -> TokenUsage:
    """For a call that ended without telling, also one that was stopped."""
    thought = estimate_tokens(reasoning)
    return TokenUsage(
        prompt_tokens,
        estimate_tokens(text) + thought,
        reasoning_tokens=thought if reasoning else None,
        estimated=True,
    )


def read_usage(usage: dict[str, Any]) -> TokenUsage | None:
    """From a provider's `usage` object, whose numbers were parsed as int or Decimal.

    None when its counts cannot be: then our own count is what counts.
    """
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    cost = _cost(usage)
    if prompt is None or completion is None or (prompt == 0 and cost is None):
        return None
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    cached = _first(
        _detail(usage, "prompt_tokens_details", "cached_tokens"),
        _count(usage.get("prompt_cache_hit_tokens")),  # DeepSeek
        _count(usage.get("cached_tokens")),  # Moonshot
    )
    written = _first(
        _detail(usage, "prompt_tokens_details", "cache_write_tokens"),
        _count(usage.get("cache_creation_input_tokens")),  # LiteLLM, of Anthropic's models
    )
    beside = _beside(usage, prompt, completion, reasoning)
    if reasoning is None and beside == (cached or 0) + (written or 0):
        prompt += beside
    elif beside:
        completion += beside
        reasoning = beside if reasoning is None else reasoning
    return TokenUsage(prompt, completion, cached, reasoning, cost, cache_write_tokens=written)


def is_too_little(usage: TokenUsage, chars: int) -> bool:
    """Whether so many characters cannot be so few tokens: then they were told of another moment.
    Where a cost is told, it counts and not the tokens."""
    if usage.cost_micro_usd is not None or not chars:
        return False
    most = usage.completion_tokens * MAX_CHARS_PER_TOKEN + FEW_CHARS
    return not usage.completion_tokens or chars > most


def micro_usd(cost: object) -> int | None:
    """USD as whole micro-USD, rounded up: we never book less than was charged."""
    usd = _usd(cost)
    return None if usd is None else int((usd * 1_000_000).to_integral_value(ROUND_CEILING))


def _cost(usage: dict[str, Any]) -> int | None:
    """The provider's own figure, in micro-USD. None when it gives none, or not the whole."""
    cost, ticks = usage.get("cost"), usage.get("cost_in_usd_ticks")
    if isinstance(cost, dict):  # Perplexity
        cost = cost.get("total_cost")
    elif cost is None and type(ticks) is int:  # xAI: 10^10 to the dollar
        cost = Decimal(ticks).scaleb(-10)
    if usage.get("is_byok") is not True:
        return micro_usd(cost)
    # Called by OpenRouter with the operator's own key: its cost is OpenRouter's fee alone.
    details = usage.get("cost_details")
    upstream = _usd(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
    return micro_usd(upstream + (_usd(cost) or 0)) if upstream else None


def _usd(value: object) -> Decimal | None:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        usd = Decimal(value)
        # Before anything is made of it: a number that is sent may have any exponent.
        if usd.is_finite() and 0 <= usd < 10**9:
            return usd
    return None


def _beside(usage: dict[str, Any], prompt: int, completion: int, reasoning: int | None) -> int:
    """Tokens that are in neither count: Gemini and xAI report so what a model thought, which others
    have among what it wrote. The total tells."""
    total = _count(usage.get("total_tokens"))
    if total is None:
        return reasoning if reasoning is not None and reasoning > completion else 0
    beside = max(total - prompt - completion, 0)
    return beside if reasoning is None else min(beside, reasoning)


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _detail(usage: dict[str, Any], group: str, name: str) -> int | None:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: object) -> int | None:
    """A number of tokens; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS_SAID:
        return None
    return value
