"""What it costs to have speech written down. Sync."""

from decimal import Decimal

from django.conf import settings

from billing import holds
from billing.models import Price, Usage
from billing.prices import versions as prices
from billing.prices.versions import BadPrice, Rates, usd_rate
from billing.token_usage import TokenUsage
from chat.charging import pricing
from chat.llm.endpoints import Model
from chat.llm.tokens import SOUND_TOKENS_PER_S, estimate_tokens
from chat.models import Transcription

# Held for each second of speech, and for the instruction. Nobody speaks faster for long.
ANSWER_TOKENS_PER_S = 12
ANSWER_TOKENS = 300
PROMPT_TOKENS = 100
BY_THE_MINUTE = " (transcription)"


def price_of(model: Model) -> Price | None:
    """The price that applies now: by the minute as the settings say, or the one that is stored."""
    per_minute: Decimal | None = settings.TRANSCRIPTION_USD_PER_MINUTE
    if per_minute is None:
        return prices.current(model.id)
    rates = Rates(0, 0, sound_micro_usd=usd_rate(per_minute / 60_000, prices.MILLION))
    # Not under the model's own name, because answers of the same model have another price.
    return prices.offer(f"{model.id}{BY_THE_MINUTE}", rates, Price.Source.SETTINGS)


def record_price(model: Model) -> None:
    """Store the price from the table of genai-prices, which web processes do not load."""
    if pricing.free_reason(model) or settings.TRANSCRIPTION_USD_PER_MINUTE is not None:
        return
    try:
        listed = pricing.listed_rates(model)
    except BadPrice:
        return
    if listed is not None:
        prices.offer(model.id, *listed)


def call_of(row: Transcription, model: Model, piece: int) -> holds.Call:
    """One call of the model, as billing identifies it. It has a hold of its own."""
    key = f"transcription:{row.file_id}:{row.run}:{piece}"
    return holds.Call(
        hold_key=key,
        key=key,
        purpose=Usage.Purpose.TRANSCRIPTION,
        person_id=row.file.owner_id,
        model=model.id,
        chat_id=row.file.chat_id,
        free=pricing.free_reason(model),
    )


def hold(row: Transcription, model: Model, piece: int, seconds: float) -> Price | None:
    """Hold the most that the call may cost. None if it is free. Raises OutOfCredit."""
    call = call_of(row, model, piece)
    price = None if call.free else price_of(model)
    if price is None:
        return None
    ms, tokens = round(seconds * 1_000), round(seconds * SOUND_TOKENS_PER_S)
    held = holds.place(
        row.file.owner,
        call.hold_key,
        price,
        PROMPT_TOKENS + tokens + prices.tokens_worth_sound(price, tokens),
        chat_id=call.chat_id,
        answer_tokens=most_answer_tokens(seconds),
        sound_ms=ms,
    )
    return held.price


def most_answer_tokens(seconds: float) -> int:
    """The longest transcription that is paid for."""
    return ANSWER_TOKENS + round(seconds * ANSWER_TOKENS_PER_S)


def usage_of(
    reported: TokenUsage | None, price: Price | None, seconds: float, text: str
) -> TokenUsage:
    """The usage to charge: what the provider reports, else what was measured here."""
    ms = round(seconds * 1_000)
    if reported is not None and (reported.prompt_tokens or reported.cost_micro_usd is not None):
        return reported if reported.sound_ms else reported.with_sound(ms)
    ms = reported.sound_ms or ms if reported else ms
    if price is not None and price.sound_micro_usd is None:
        tokens = round(ms * SOUND_TOKENS_PER_S / 1_000)
        written = estimate_tokens(text)
        return TokenUsage(tokens, written, audio_tokens=tokens, estimated=True, sound_ms=ms)
    return TokenUsage(0, 0, estimated=reported is None, sound_ms=ms)
