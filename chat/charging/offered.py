"""The models that people can choose from. Pages, lists and first sends all need them."""

import time
from dataclasses import dataclass

from asgiref.sync import sync_to_async

from chat.charging import pricing
from chat.charging.pricing import Offer
from chat.llm.endpoints import Model

# How long a new price, or one that was withdrawn, may be unknown to a web process. The send and the
# worker read the price itself.
KNOWN_FOR_S = 10.0


@dataclass(frozen=True, slots=True)
class _Known:
    catalogue: list[Model]
    offered: list[Offer]
    read_at: float

    def is_of(self, catalogue: list[Model]) -> bool:
        is_recent = time.monotonic() - self.read_at < KNOWN_FOR_S
        return is_recent and self.catalogue == catalogue


_known: _Known | None = None


async def offered_models(models: list[Model]) -> list[Offer]:
    """The models of this list that can be used, for free or on credit, with their prices.

    The answer for the catalogue is kept and serves everybody. Models of own keys are never kept.
    """
    global _known
    catalogue = [model for model in models if not model.own_key]
    own = [model for model in models if model.own_key]
    known = _known
    if known is None or not known.is_of(catalogue):
        read_at = time.monotonic()
        usable = await sync_to_async(pricing.with_price)(catalogue)
        known = _known = _Known(catalogue, usable, read_at)
    return known.offered + [Offer(model) for model in own]
