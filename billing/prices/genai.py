"""The table of genai-prices, for providers whose own list says nothing of prices or windows.

The only file that imports `genai_prices`, and not before it is asked: the table takes memory. It
comes with the package and is never fetched: new prices come with a new version of the package.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils import timezone

from billing.prices.versions import BadPrice, Rates, usd_rate

_KINDS = ("input", "output", "cache_read", "cache_write", "output_reasoning")
# Of what a model may write besides text there is no count; nor of the searches of one that always
# searches, which cost more than its words.
_NOT_COUNTED = ("output_image", "output_audio", "output_video", "output_citation")
_SEARCHES = re.compile(r"\bsearch\b")


def look_up(name: str, base_url: str) -> Rates | None:
    """What the provider at this address asks now for its model `name`; None when it is not in the
    table. Raises BadPrice. Where the price rises with the prompt's length, the rates are those up
    to where it does; where it depends on the day or the hour, those of this moment."""
    model = _find(name.removeprefix("models/"), base_url)  # Google's list has it before each
    if model is None:
        return None
    prices = model.get_prices(timezone.now())
    if _SEARCHES.search(name) or any(
        getattr(prices, f"{kind}_mtok", None) for kind in _NOT_COUNTED
    ):
        raise BadPrice("it asks for more than its tokens of text")
    limits: list[int] = []
    rates = {kind: _rate(getattr(prices, f"{kind}_mtok", None), limits) for kind in _KINDS}
    if rates["input"] is None or rates["output"] is None:
        raise BadPrice("input or output is missing")
    per_request = getattr(prices, "requests_kcount", None)
    return Rates(
        input_micro_usd=rates["input"],
        output_micro_usd=rates["output"],
        cached_input_micro_usd=rates["cache_read"],
        reasoning_micro_usd=rates["output_reasoning"],
        per_request_micro_usd=_each(per_request),
        prompt_limit_tokens=min(limits, default=None),
        cache_write_micro_usd=rates["cache_write"],
    )


def context_tokens(name: str, base_url: str = "") -> int | None:
    """How many tokens the model `name` of the provider at this address takes; without an address,
    that of its maker. None when the table does not say."""
    model = _find(name.removeprefix("models/"), base_url)
    return None if model is None else model.context_window


@lru_cache(maxsize=2_048)
def _find(name: str, base_url: str) -> Any:
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(name, None, None, base_url or None)[1]
    except LookupError:
        return None


def _rate(price: Any, limits: list[int]) -> int | None:
    """USD for a million tokens; `limits` gets the prompt lengths from which it is another."""
    if price is None:
        return None
    if tiers := getattr(price, "tiers", None):
        limits.extend(tier.start for tier in tiers)
        price = price.base
    return usd_rate(price, 1)


def _each(price: Any) -> int:
    """From USD for a thousand requests."""
    if price is None:
        return 0
    return usd_rate(Decimal(price) / 1_000, 1)
