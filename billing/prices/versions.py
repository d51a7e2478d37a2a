"""Price versions of each model, and the cost of a call at a given version.

Rates are whole micro-USD per million tokens: $0.15 per million is 150,000. The cost of a call is
summed exactly and rounded up once, to the next whole micro-USD.
"""

import logging
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from billing.models import Price
from billing.token_usage import TokenUsage

logger = logging.getLogger(__name__)

MILLION = 1_000_000
# Higher rates, per million tokens or per request, are treated as mistakes.
MAX_TOKENS_MICRO_USD = 10_000 * MILLION
MAX_REQUEST_MICRO_USD = 100 * MILLION
# A price that changes by this factor may be a mistake, so staff is warned.
JUMP = 10
JUMPING = ("input_micro_usd", "output_micro_usd", "per_request_micro_usd")


class BadPrice(Exception):
    """The price is negative, missing, not a number, or absurdly high."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate columns of a Price, with the same names and units."""

    input_micro_usd: int
    output_micro_usd: int
    cached_input_micro_usd: int | None = None
    reasoning_micro_usd: int | None = None
    image_micro_usd: int | None = None
    audio_micro_usd: int | None = None
    per_request_micro_usd: int = 0
    prompt_limit_tokens: int | None = None
    cache_write_micro_usd: int | None = None
    sound_micro_usd: int | None = None
    image_input_micro_usd: int | None = None
    image_output_micro_usd: int | None = None
    character_micro_usd: int | None = None
    audio_output_micro_usd: int | None = None

    def __post_init__(self) -> None:
        for name, rate in asdict(self).items():
            if rate is not None and not 0 <= rate <= most_of(name):
                raise BadPrice(f"{name} is {rate}")


_CHARGED = (
    ("input_micro_usd", "output_micro_usd", "cached_input_micro_usd", "reasoning_micro_usd")
    + ("cache_write_micro_usd", "per_request_micro_usd", "sound_micro_usd")
    + ("image_output_micro_usd", "character_micro_usd", "audio_output_micro_usd")
)
_EACH = ("image_micro_usd", "per_request_micro_usd")


def most_of(name: str) -> int:
    """Upper bound of a column of Rates."""
    return MAX_REQUEST_MICRO_USD if name in _EACH else MAX_TOKENS_MICRO_USD


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of token in a cost. `rate_micro_usd` is per million."""

    kind: str
    count: int
    rate_micro_usd: int

    @property
    def micro_usd(self) -> Decimal:
        """Exact, not rounded."""
        return Decimal(self.count * self.rate_micro_usd) / MILLION


def current(model: str) -> Price | None:
    return Price.objects.filter(model=model).order_by("-version").first()


def latest(models: list[str]) -> dict[str, Price]:
    """The current prices of `models`, by their ids; those without a price are missing."""
    versions = Price.objects.filter(model=OuterRef("model")).order_by("-version")
    newest = Price.objects.filter(model__in=models, pk=Subquery(versions.values("pk")[:1]))
    return {price.model: price for price in newest}


def costs_nothing(rates: Rates) -> bool:
    """Whether calls with text are free at these rates."""
    return not any(getattr(rates, name) for name in _CHARGED)


def offer(model: str, rates: Rates, source: str, price: Price | None = None) -> Price:
    """Store the rates of a list as a new version if they changed. Prices set by staff stay.

    `price`: the current one, if the caller has just read it.
    """
    while True:
        price = price or current(model)
        if price is not None and (price.source == Price.Source.STAFF or rates_of(price) == rates):
            return price
        for name in jumps_of(rates_of(price), rates) if price else []:
            was, becomes = getattr(price, name), getattr(rates, name)
            logger.warning("%s: %s jumps from %d to %d, by %s", model, name, was, becomes, source)
        if added := _add(model, rates, source, None, price):
            return added
        price = None


def set_by_staff(model: str, rates: Rates, staff_id: Any) -> Price:
    """Add a version that overrides the lists from now on. Calls in progress keep their version."""
    return _add_now(model, rates, Price.Source.STAFF, staff_id)


def follow_lists(model: str) -> Price | None:
    """End a price set by staff: the last rates of a list become the current version again.

    Returns None and changes nothing if the current price is not staff's, or no list has the model.
    """
    listed = Price.objects.filter(model=model).exclude(source=Price.Source.STAFF)
    last, now = listed.order_by("-version").first(), current(model)
    if last is None or now is None or now.source != Price.Source.STAFF:
        return None
    return _add_now(model, rates_of(last), last.source, None)


def cost_of(price: Price, usage: TokenUsage) -> int:
    """Cost in micro-USD at this price, rounded up once."""
    exact = sum(part.count * part.rate_micro_usd for part in parts_of(price, usage))
    return -(-exact // MILLION)


def parts_of(price: Price, usage: TokenUsage) -> list[Part]:
    """The cost by kind of token. Unused kinds have a count of 0."""
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    written = min(usage.cache_write_tokens or 0, usage.prompt_tokens - cached)
    heard = min(usage.audio_tokens or 0, usage.prompt_tokens - cached - written)
    reasoned = min(usage.reasoning_tokens or 0, usage.completion_tokens)
    read, wrote = price.input_micro_usd, price.output_micro_usd
    # Pictures and spoken sound, if their tokens have a price of their own.
    seen = drawn = spoke = 0
    if price.image_input_micro_usd is not None:
        seen = min(usage.image_input_tokens or 0, usage.prompt_tokens - cached - written - heard)
    if price.image_output_micro_usd is not None:
        drawn = min(usage.image_tokens or 0, usage.completion_tokens - reasoned)
    if price.audio_output_micro_usd is not None:
        most = usage.completion_tokens - reasoned - drawn
        spoke = min(usage.audio_output_tokens or 0, most)
    return [
        Part("input", usage.prompt_tokens - cached - written - heard - seen, read),
        Part("audio", heard, price.audio_micro_usd or read),
        Part("image_input", seen, price.image_input_micro_usd or 0),
        Part("cached_input", cached, _default(price.cached_input_micro_usd, read)),
        Part("cache_write", written, _default(price.cache_write_micro_usd, read)),
        Part("output", usage.completion_tokens - reasoned - drawn - spoke, wrote),
        Part("image_output", drawn, price.image_output_micro_usd or 0),
        Part("audio_output", spoke, price.audio_output_micro_usd or 0),
        Part("reasoning", reasoned, _default(price.reasoning_micro_usd, wrote)),
        Part(
            "request",
            1 if price.per_request_micro_usd else 0,
            price.per_request_micro_usd * MILLION,
        ),
        Part("sound", usage.sound_ms or 0, price.sound_micro_usd or 0),
        Part("characters", usage.characters or 0, price.character_micro_usd or 0),
    ]


def worst_case(price: Price, prompt_tokens: int, answer_tokens: int) -> int:
    """Upper bound of a call's cost in micro-USD: prompt and answer each at their dearest rate."""
    dearest_input = max(
        price.input_micro_usd,
        price.cached_input_micro_usd or 0,
        price.cache_write_micro_usd or 0,
        price.image_input_micro_usd or 0,
    )
    total = prompt_tokens * dearest_input + answer_tokens * _dearest_output(price)
    return -(-total // MILLION) + price.per_request_micro_usd


def tokens_worth_pictures(price: Price, pictures: int) -> int:
    """The prompt tokens that cost as much as `pictures` pictures at their own price, for holds. 0
    if pictures or prompt tokens cost nothing by themselves."""
    cost = pictures * (price.image_micro_usd or 0) * MILLION
    return -(-cost // price.input_micro_usd) if price.input_micro_usd else 0


def tokens_worth_sound(price: Price, tokens: int) -> int:
    """The prompt tokens that cost as much as `tokens` of sound cost beyond the price of prompt
    tokens, for holds. 0 if sound costs no more, or prompt tokens nothing."""
    more = max((price.audio_micro_usd or 0) - price.input_micro_usd, 0)
    return -(-tokens * more // price.input_micro_usd) if price.input_micro_usd else 0


def affordable_tokens(price: Price, prompt_tokens: int, micro_usd: int) -> int | None:
    """The longest answer in tokens whose `worst_case` fits; None if answers cost nothing."""
    dearest = _dearest_output(price)
    left = micro_usd - worst_case(price, prompt_tokens, 0)
    if not dearest:
        return None
    # worst_case rounds the sum up once. Rounding the parts may lose a micro-USD, never gain one.
    return max(left, 0) * MILLION // dearest


def rates_of(price: Price) -> Rates:
    return Rates(**{name: getattr(price, name) for name in Rates.__dataclass_fields__})


def jumps_of(before: Rates, now: Rates) -> list[str]:
    """The columns of JUMPING that grew or shrank by a factor of JUMP or more."""
    jumps = []
    for name in JUMPING:
        was, becomes = getattr(before, name), getattr(now, name)
        if was != becomes and max(was, becomes) >= JUMP * min(was, becomes):
            jumps.append(name)
    return jumps


def usd_rate(value: object, each: int) -> int:
    """Whole micro-USD for `each` units that cost `value` USD each, rounded up. Raises BadPrice."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadPrice(f"{value!r} is not a price")
    try:
        usd = Decimal(value)
    except InvalidOperation as error:
        raise BadPrice(f"{value!r} is not a price") from error
    if not usd.is_finite() or not 0 <= usd < MILLION:
        raise BadPrice(f"{value!r} is not a price")
    return int((usd * each * MILLION).to_integral_value(ROUND_CEILING))


# Private


def _dearest_output(price: Price) -> int:
    kinds = ("output", "reasoning", "image_output", "audio_output")
    return max(getattr(price, f"{kind}_micro_usd") or 0 for kind in kinds)


def _default(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


def _add(model: str, rates: Rates, source: str, staff_id: Any, after: Price | None) -> Price | None:
    """Add the version after `after`; None if another process has just added it."""
    try:
        with transaction.atomic():
            price = Price.objects.create(
                model=model,
                version=after.version + 1 if after else 1,
                valid_from=timezone.now(),
                source=source,
                staff_id=staff_id,
                **asdict(rates),
            )
    except IntegrityError:
        return None
    logger.info("new price of %s: version %d, from %s", model, price.version, source)
    return price


def _add_now(model: str, rates: Rates, source: str, staff_id: Any) -> Price:
    """Add the next version, retrying while other processes add theirs."""
    while True:
        if price := _add(model, rates, source, staff_id, current(model)):
            return price
