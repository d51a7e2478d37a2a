"""Counting tokens and what they cost, without floats where money is meant."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

# No tokenizer is downloaded. English takes about 4 characters a token and code about 3; other
# scripts take 2 to 3 bytes of UTF-8 with today's tokenizers. Erring high costs a little of the
# window, erring low a refused call. A turn's own marks take a few more.
ASCII_PER_TOKEN = 3
OTHER_BYTES_PER_TOKEN = 2
TOKENS_PER_TURN = 8
# No call uses more: who says so has made a mistake. It also keeps every sum within the database.
MAX_TOKENS_SAID = 100_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used. `estimated`: the provider did not say, we counted."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cost_micro_usd: int | None = None
    estimated: bool = False

    def to_dict(self) -> dict[str, int | bool]:
        """For message.completed, which has the cost in a field of its own."""
        known = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        if self.reasoning_tokens is not None:
            known["reasoning_tokens"] = self.reasoning_tokens
        if self.cached_tokens is not None:
            known["cached_tokens"] = self.cached_tokens
        return known | ({"estimated": True} if self.estimated else {})


def estimate_tokens(text: str) -> int:
    size = len(text.encode())
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // ASCII_PER_TOKEN) - (-(size - plain) // OTHER_BYTES_PER_TOKEN)


def estimated_usage(prompt_tokens: int, text: str, reasoning: str) -> Usage:
    """For a call that ended without telling, also one that was stopped."""
    thought = estimate_tokens(reasoning)
    return Usage(
        prompt_tokens,
        estimate_tokens(text) + thought,
        thought if reasoning else None,
        estimated=True,
    )


def read_usage(usage: dict[str, Any]) -> Usage | None:
    """From a provider's `usage` object, whose numbers were parsed as int or Decimal.

    None when its counts cannot be: then our own count is what counts.
    """
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    return Usage(
        prompt,
        completion,
        _detail(usage, "completion_tokens_details", "reasoning_tokens"),
        _detail(usage, "prompt_tokens_details", "cached_tokens"),
        micro_usd(usage.get("cost")),
    )


def micro_usd(cost: object) -> int | None:
    """USD as whole micro-USD, rounded up: we never book less than was charged."""
    if isinstance(cost, int | Decimal) and not isinstance(cost, bool):
        value = Decimal(cost)
        # Before it is multiplied: a number that is sent may have any exponent.
        if value.is_finite() and 0 <= value < 10**9:
            return int((value * 1_000_000).to_integral_value(ROUND_CEILING))
    return None


def _detail(usage: dict[str, Any], group: str, name: str) -> int | None:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: object) -> int | None:
    """A number of tokens; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS_SAID:
        return None
    return value
