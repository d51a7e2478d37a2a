"""Counts tokens and reads usage reports. Amounts of money are never floats."""

import asyncio
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from typing import Any, TypeVar

from billing.token_usage import TokenUsage

# No tokenizer is downloaded. ASCII is split roughly as tokenizers do it: the first letters of a
# word, the rest of a long one, up to three digits, punctuation, line ends. In other scripts a token
# has about 3 bytes of UTF-8, and a character beyond the basic plane (emoji) is two tokens. Compared
# with OpenAI's o200k_base, the count is 0.9 to 1.25 times as high for prose, code, JSON, TeX and
# Base64, 1.1 to 2.2 times for other scripts, and 0.65 times for random letters (docs/billing.md).
_ASCII_TOKEN = re.compile(
    rb"(?<![a-z])[A-Z]?[a-z]{1,7}|[a-z]{1,3}|[A-Z]{1,3}|[0-9]{1,3}|[^\sA-Za-z0-9]"
    rb"|\r?\n|\t{1,16}| {16}|[\r\f\v]"
)
OTHER_BYTES_PER_TOKEN = 3
TOKENS_BEYOND_BASIC_PLANE = 2
_BEYOND_BASIC_PLANE = re.compile("[\U00010000-\U0010ffff]")
_UP_TO_MARK = re.compile(rb".*[^A-Za-z0-9 \t\r\f\v]", re.DOTALL)
SLICE = 16_384  # characters
# The special tokens around a message.
TOKENS_PER_MESSAGE = 8
# No call uses more, so a higher report is a mistake. It also keeps every sum within the database's
# range.
# Google's rule for sound, the strictest of the usual ones.
SOUND_TOKENS_PER_S = 32
MAX_REPORTED_TOKENS = 100_000_000
# What a picture that a model made counts as, if the provider reports no usage. Google's count; at
# OpenAI it is between 272 and 6,240.
PICTURE_OUTPUT_TOKENS = 1_300
# Likewise for the sound of an answer: OpenAI's count.
SPOKEN_TOKENS_PER_S = 20
# No long text has more characters per token than this on average.
MAX_CHARS_PER_TOKEN = 16
# Allowed beyond that average, because a line of dashes can be a single token.
EXTRA_CHARS = 400

T = TypeVar("T")


def estimate_tokens(text: str) -> int:
    """The estimated number of tokens; takes about 50 ms for a megabyte.

    The audit recounts the text of attempts without reported usage, so a change of this estimate
    changes the result that the audit expects.
    """
    plain = text.encode("ascii", "ignore")
    tokens = _count_ascii(plain)
    if len(plain) == len(text):
        return tokens
    places = range(0, len(text), SLICE)
    beyond = sum(len(_BEYOND_BASIC_PLANE.findall(text, at, at + SLICE)) for at in places)
    other_bytes = len(text.encode()) - len(plain) - 4 * beyond
    return tokens - (-other_bytes // OTHER_BYTES_PER_TOKEN) + beyond * TOKENS_BEYOND_BASIC_PLANE


async def off_loop(count: Callable[..., T], *values: Any, chars: int) -> T:
    """The result of `count(*values)`, which runs in a thread if the texts are longer than SLICE.

    `chars` is the length of all the texts together.
    """
    if chars <= SLICE:
        return count(*values)
    return await asyncio.to_thread(count, *values)


def _count_ascii(plain: bytes) -> int:
    """Counts in slices, so that a counting thread releases the GIL in between and never holds a
    list of all tokens. A slice ends at the end of a token, if it has any character but letters,
    digits and spaces.
    """
    tokens = at = 0
    while at < len(plain):
        end = at + SLICE
        if end < len(plain) and (match := _UP_TO_MARK.match(plain, at, end)):
            end = match.end()
        tokens += len(_ASCII_TOKEN.findall(plain, at, end))
        at = end
    return tokens


def estimated_usage(
    prompt_tokens: int,
    text: str,
    reasoning: str,
    pictures: int = 0,
    spoken_ms: int = 0,
    sound_tokens: int = 0,
) -> TokenUsage:
    """The usage of a call without a report, for example of one that was stopped. `pictures`: how
    many the model made. `spoken_ms`: of sound that it made. `sound_tokens`: how many of the
    prompt's tokens are of sound."""
    thought = estimate_tokens(reasoning)
    drawn = pictures * PICTURE_OUTPUT_TOKENS
    spoken = spoken_tokens(spoken_ms)
    return TokenUsage(
        prompt_tokens,
        estimate_tokens(text) + thought + drawn + spoken,
        audio_tokens=sound_tokens or None,
        image_tokens=drawn or None,
        audio_output_tokens=spoken or None,
        reasoning_tokens=thought if reasoning else None,
        estimated=True,
    )


def spoken_tokens(ms: int) -> int:
    """The estimated tokens of sound that a model made."""
    return -(-ms * SPOKEN_TOKENS_PER_S // 1_000)


def read_usage(usage: dict[str, Any]) -> TokenUsage | None:
    """Reads a provider's `usage` object, whose numbers were parsed as int or Decimal.

    None if its counts are impossible; the caller then uses its own count.
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
        _count(usage.get("cache_creation_input_tokens")),  # LiteLLM, for Anthropic's models
    )
    beside = _tokens_beside(usage, prompt, completion, reasoning)
    if reasoning is None and beside == (cached or 0) + (written or 0):
        prompt += beside
    elif beside:
        completion += beside
        reasoning = beside if reasoning is None else reasoning
    heard = _detail(usage, "prompt_tokens_details", "audio_tokens")
    return TokenUsage(
        prompt,
        completion,
        cached,
        reasoning,
        cost,
        cache_write_tokens=written,
        audio_tokens=heard,
        image_tokens=_detail(usage, "completion_tokens_details", "image_tokens"),
        image_input_tokens=_detail(usage, "prompt_tokens_details", "image_tokens"),
        audio_output_tokens=_detail(usage, "completion_tokens_details", "audio_tokens"),
    )


def is_implausible(usage: TokenUsage, chars: int) -> bool:
    """Whether the reported tokens are too few for a text of `chars` characters, as in a report that
    was made before the answer was complete. A report with a cost is believed, as only the cost
    counts."""
    if usage.cost_micro_usd is not None or not chars:
        return False
    max_chars = usage.completion_tokens * MAX_CHARS_PER_TOKEN + EXTRA_CHARS
    return not usage.completion_tokens or chars > max_chars


def micro_usd(cost: object) -> int | None:
    """USD as whole micro-USD, rounded up so that we never book less than the provider charged."""
    usd = _usd(cost)
    return None if usd is None else int((usd * 1_000_000).to_integral_value(ROUND_CEILING))


def _cost(usage: dict[str, Any]) -> int | None:
    """The reported cost in micro-USD; None if there is none, or only a part of it."""
    cost, ticks = usage.get("cost"), usage.get("cost_in_usd_ticks")
    if isinstance(cost, dict):  # Perplexity
        cost = cost.get("total_cost")
    elif cost is None and type(ticks) is int:  # xAI: 10^10 to the dollar
        cost = Decimal(ticks).scaleb(-10)
    if usage.get("is_byok") is not True:
        return micro_usd(cost)
    # OpenRouter used the operator's own key with the provider: `cost` is OpenRouter's fee alone.
    details = usage.get("cost_details")
    upstream = _usd(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
    return micro_usd(upstream + (_usd(cost) or 0)) if upstream else None


def _usd(value: object) -> Decimal | None:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        usd = Decimal(value)
        # Checked before any arithmetic, because the number may have any exponent.
        if usd.is_finite() and 0 <= usd < 10**9:
            return usd
    return None


def _tokens_beside(
    usage: dict[str, Any], prompt: int, completion: int, reasoning: int | None
) -> int:
    """Tokens that are in the total but in neither count. Gemini and xAI report reasoning like this;
    others include it in the completion tokens."""
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
    """The value if it is a possible number of tokens, else None."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not 0 <= value <= MAX_REPORTED_TOKENS
    ):
        return None
    return value
