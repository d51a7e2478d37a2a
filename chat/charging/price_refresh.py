"""Records the models' current prices from the providers' lists: a chore of the worker."""

import logging

from asgiref.sync import sync_to_async

from billing.prices import versions as prices
from billing.prices.versions import BadPrice
from chat.charging import pricing
from chat.llm.catalogue import get_catalogue
from chat.llm.endpoints import Model

logger = logging.getLogger(__name__)


async def record_prices() -> int:
    """Store a version of each price that has changed; returns how many models have a price. Safe to
    repeat."""
    return await sync_to_async(_record)(await get_catalogue().models())


def _record(models: list[Model]) -> int:
    count = 0
    for model in models:
        if pricing.free_reason(model):
            continue
        try:
            listed = pricing.listed_rates(model)
        except BadPrice as error:
            logger.warning("the price of %s is refused: %s", model.id, error)
            continue
        if listed is not None:
            prices.offer(model.id, *listed)
            count += 1
    return count
