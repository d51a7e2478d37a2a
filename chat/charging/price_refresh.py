"""Noting what the models' providers ask, as their lists say it now. For the worker's chores."""

import logging

from asgiref.sync import sync_to_async

from billing.prices import versions as prices
from billing.prices.versions import BadPrice
from chat.charging import pricing
from chat.llm.catalogue import get_catalogue
from chat.llm.endpoints import Model

logger = logging.getLogger(__name__)


async def note_prices() -> int:
    """A version of each price that is new; how many models have one. May be repeated."""
    return await sync_to_async(_note)(await get_catalogue().models())


def _note(models: list[Model]) -> int:
    known = 0
    for model in models:
        if pricing.free_reason(model):
            continue
        try:
            found = pricing.listed_rates(model)
        except BadPrice as error:
            logger.warning("the price of %s is refused: %s", model.id, error)
            continue
        if found is not None:
            prices.offer(model.id, *found)
            known += 1
    return known
