"""What it costs to have text read aloud: so much for each character. Sync."""

from decimal import Decimal

from django.conf import settings

from billing import holds
from billing.models import Price, Usage
from billing.prices import versions as prices
from billing.prices.versions import Rates, usd_rate
from chat.charging import pricing
from chat.llm.endpoints import Model
from chat.models import Speech


def price_of(model: Model) -> Price | None:
    """The price that applies now: as the settings say, or the stored one, if that is by the
    character. Providers report no usage that another price could count."""
    per_million: Decimal | None = settings.SPEECH_USD_PER_MILLION_CHARACTERS
    if per_million is None:
        stored = prices.current(model.id)
        return stored if stored is not None and stored.character_micro_usd is not None else None
    rates = Rates(0, 0, character_micro_usd=usd_rate(per_million, 1))
    return prices.offer(model.id, rates, Price.Source.SETTINGS)


def call_of(row: Speech, model: Model, piece: int) -> holds.Call:
    """The call for one sentence, as billing identifies it. It has a hold of its own."""
    key = f"speech:{row.file_id}:{row.run}:{piece}"
    return holds.Call(
        hold_key=key,
        key=key,
        purpose=Usage.Purpose.SPEECH,
        person_id=row.file.owner_id,
        model=model.id,
        chat_id=row.file.chat_id,
        free=pricing.free_reason(model),
    )


def hold(row: Speech, model: Model, piece: int, characters: int) -> None:
    """Hold what the call will cost. Raises OutOfCredit."""
    call = call_of(row, model, piece)
    price = None if call.free else price_of(model)
    if price is not None:
        holds.place(
            row.file.owner,
            call.hold_key,
            price,
            0,
            chat_id=call.chat_id,
            answer_tokens=0,
            characters=characters,
        )
