"""Reads prices from OpenRouter's list of models."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from billing.prices.versions import MILLION, BadPrice, Rates, usd_rate


def read(pricing: Mapping[str, object]) -> Rates:
    """Rates from the `pricing` of a model, which has USD per token as text. Raises BadPrice.

    `overrides` (JSON) has other prices for long prompts or for some hours. The result is valid up
    to the length at which long prompts begin, and has the rates of the dearest hours, because it
    determines holds; OpenRouter reports the actual cost with each answer.
    """
    rates, limits = _read_flat(pricing), []
    for override in _overrides(pricing):
        least = override.get("min_prompt_tokens")
        if least is None:
            rates = _dearest(rates, _read_flat({**pricing, **override}))
        elif type(least) is int and least > 0:
            limits.append(least)
        else:
            raise BadPrice(f"a prompt of {least!r} tokens")
    return replace(rates, prompt_limit_tokens=min(limits, default=None))


def _read_flat(pricing: Mapping[str, object]) -> Rates:
    if not {"prompt", "completion"} <= pricing.keys():
        raise BadPrice("input or output is missing")
    return Rates(
        input_micro_usd=usd_rate(pricing["prompt"], MILLION),
        output_micro_usd=usd_rate(pricing["completion"], MILLION),
        cached_input_micro_usd=_optional(pricing.get("input_cache_read")),
        reasoning_micro_usd=_optional(pricing.get("internal_reasoning")),
        image_micro_usd=usd_rate(pricing.get("image") or "0", 1),
        audio_micro_usd=usd_rate(pricing.get("audio") or "0", MILLION),
        per_request_micro_usd=usd_rate(pricing.get("request") or "0", 1),
        cache_write_micro_usd=_optional(pricing.get("input_cache_write")),
        image_input_micro_usd=_optional(pricing.get("image_token")),
        image_output_micro_usd=_optional(pricing.get("image_output")),
        audio_output_micro_usd=_optional(pricing.get("audio_output")),
    )


def _overrides(pricing: Mapping[str, object]) -> list[dict[str, object]]:
    try:
        overrides = json.loads(str(pricing.get("overrides", "[]")))
    except ValueError as error:
        raise BadPrice("overrides cannot be read") from error
    if not isinstance(overrides, list) or not all(isinstance(item, dict) for item in overrides):
        raise BadPrice("overrides cannot be read")
    return overrides


def _dearest(first: Rates, second: Rates) -> Rates:
    rates: dict[str, Any] = {}
    for name in Rates.__dataclass_fields__:
        both = [getattr(first, name), getattr(second, name)]
        rates[name] = max((rate for rate in both if rate is not None), default=None)
    return Rates(**rates)


def _optional(value: object) -> int | None:
    """An optional rate; None for 0, which OpenRouter writes for kinds without their own price."""
    return (usd_rate(value, MILLION) or None) if value is not None else None
