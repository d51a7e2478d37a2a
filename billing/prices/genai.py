"""Prices and context windows from genai-prices, for providers whose own list has none.

The only module that imports `genai_prices`, and only when first used, because its table takes
memory. The table ships with the package and is never fetched: upgrading the package updates it.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils import timezone

from billing.prices.versions import BadPrice, Rates, usd_rate

_KINDS = ("input", "output", "cache_read", "cache_write", "output_reasoning") + (
    ("input_audio", "input_image", "output_image", "output_audio")
)
# Video that a model makes is not counted, nor are the searches of models that always search, which
# cost more than their text.
_NOT_COUNTED = ("output_video", "output_citation")
_SEARCHES = re.compile(r"\bsearch\b")


def load() -> None:
    """Load the table, which takes 0.1 s, before it is needed."""
    from genai_prices.data_snapshot import get_snapshot

    get_snapshot()


def look_up(name: str, base_url: str) -> Rates | None:
    """Current rates of model `name` of the provider at this address; None if the table has none.

    Where the price depends on the prompt's length, returns the base tier with its limit; where it
    depends on the time, the rates of this moment. Raises BadPrice.
    """
    model = _find(name.removeprefix("models/"), base_url)  # Google's list prefixes each name.
    if model is None:
        return None
    prices = model.get_prices(timezone.now())
    if _SEARCHES.search(name) or any(
        getattr(prices, f"{kind}_mtok", None) for kind in _NOT_COUNTED
    ):
        raise BadPrice("it charges for more than its text tokens")
    limits: list[int] = []
    rates = {kind: _rate(getattr(prices, f"{kind}_mtok", None), limits) for kind in _KINDS}
    if rates["input"] is None or rates["output"] is None:
        raise BadPrice("input or output is missing")
    per_request = getattr(prices, "requests_kcount", None)
    return Rates(
        input_micro_usd=rates["input"],
        output_micro_usd=rates["output"],
        cached_input_micro_usd=rates["cache_read"],
        audio_micro_usd=rates["input_audio"],
        reasoning_micro_usd=rates["output_reasoning"],
        per_request_micro_usd=_per_request(per_request),
        prompt_limit_tokens=min(limits, default=None),
        cache_write_micro_usd=rates["cache_write"],
        image_input_micro_usd=rates["input_image"],
        image_output_micro_usd=rates["output_image"],
        audio_output_micro_usd=rates["output_audio"],
    )


def context_tokens(name: str, base_url: str = "") -> int | None:
    """Context window in tokens of model `name` of the provider at this address.

    Without an address, the model of its maker. None if the table does not say.
    """
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
    """Micro-USD per million tokens. Appends to `limits` the prompt lengths at which tiers begin."""
    if price is None:
        return None
    if tiers := getattr(price, "tiers", None):
        limits.extend(tier.start for tier in tiers)
        price = price.base
    return usd_rate(price, 1)


def _per_request(price: Any) -> int:
    """Micro-USD per request, from USD per thousand requests."""
    if price is None:
        return 0
    return usd_rate(Decimal(price) / 1_000, 1)
