"""The table of genai-prices, for providers whose own list says nothing of prices.

The only file that imports `genai_prices`, and not before it is asked: the table takes memory.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils import timezone

from billing.prices import BadPrice, Rates, usd_rate


@lru_cache(maxsize=2_048)
def look_up(name: str, base_url: str) -> Rates | None:
    """What the provider at this address asks for its model `name`; None when it is not in the
    table. Raises BadPrice. Where the price rises with the prompt's length, the rates are those up
    to where it does."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, model = get_snapshot().find_provider_model(name, None, None, base_url)
    except LookupError:
        return None
    prices = model.get_prices(timezone.now())
    limits: list[int] = []
    rates = {
        kind: _rate(getattr(prices, f"{kind}_mtok", None), limits)
        for kind in ("input", "output", "cache_read")
    }
    if rates["input"] is None or rates["output"] is None:
        raise BadPrice("input or output is missing")
    per_request = getattr(prices, "requests_kcount", None)
    return Rates(
        input_micro_usd=rates["input"],
        output_micro_usd=rates["output"],
        cached_input_micro_usd=rates["cache_read"],
        per_request_micro_usd=_each(per_request),
        prompt_limit_tokens=min(limits, default=None),
    )


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
