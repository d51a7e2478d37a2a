"""Decides who pays for a call of a model and at which price, and makes the holds of replies.

All functions are sync except `model_of`.

Only this module decides what is free: local models, a person's own keys, and everything where the
operator pays.
"""

import logging
import uuid
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from billing import holds
from billing.errors import NoPrice
from billing.holds import Budget, Call
from billing.models import Price, Usage
from billing.prices import openrouter as openrouter_prices
from billing.prices import versions as prices
from billing.prices.genai import look_up
from billing.prices.versions import BadPrice, Rates
from chat.llm.catalogue import UnknownModelError
from chat.llm.endpoints import Model
from chat.llm.tokens import PICTURE_OUTPUT_TOKENS, TOKENS_PER_MESSAGE, estimate_tokens
from chat.llm.user_models import find_for, is_own
from chat.models import Chat, Reply
from chat.work_orders import WorkOrder
from streams.errors import FencedError

logger = logging.getLogger(__name__)

LOCAL_ENDPOINTS = ("local", "ollama")
LOCAL_SUFFIXES = (".local", ".localhost", ".internal", ".lan", ".home.arpa")
# What OpenAI's largest picture in its best quality counts.
MAX_PICTURE_TOKENS = 6_300
# Held for a prompt whose text is not loaded when the reply is placed.
UNKNOWN_PROMPT_TOKENS = 200


def free_reason(model: Model) -> str:
    """Why calls of this model are free for their user (a value of Usage.Free); "" if they cost."""
    if model.own_key:
        return str(Usage.Free.OWN_KEY)
    if _is_local(model):
        return str(Usage.Free.LOCAL)
    return "" if settings.BILLING else str(Usage.Free.HOUSE)


def free_by_name(model_id: str) -> str:
    """Like `free_reason`, for a model of which only the id is known."""
    if is_own(model_id):
        return str(Usage.Free.OWN_KEY)
    if model_id.partition("/")[0] in LOCAL_ENDPOINTS:
        return str(Usage.Free.LOCAL)
    return "" if settings.BILLING else str(Usage.Free.HOUSE)


def cost_to_show(model: Model, cost_micro_usd: int | None) -> int | None:
    """The provider's figure for a free call, if the owner of the key or the operator pays it.

    None for a local server: nobody pays the cost that it reports.
    """
    somebody_pays = (Usage.Free.OWN_KEY, Usage.Free.HOUSE)
    return cost_micro_usd if free_reason(model) in somebody_pays else None


def usage_of(reply_id: uuid.UUID) -> QuerySet[Usage]:
    """The stored usage of a reply, which may have been erased."""
    return Usage.objects.filter(reply_id=reply_id)


def price_of(model: Model, *, accept_stored: bool = False) -> Price:
    """The price that applies now. A price that only a list has is stored first, and so is the
    current hour's rate from the table of genai-prices. Only the chore stores OpenRouter's list,
    because this process's copy of it may be older than the version in the database.

    Raises NoPrice, also if the list now has an invalid price: then only a price that staff has set
    applies. `accept_stored`: do not look up a stored price of the table again.
    """
    price = prices.current(model.id)
    if price is not None and price.source == Price.Source.STAFF:
        return price
    if price is not None and accept_stored and price.source == Price.Source.GENAI_PRICES:
        return price
    try:
        listed = listed_rates(model)
    except BadPrice as error:
        logger.warning("%s cannot be used on credit: %s", model.id, error)
        raise NoPrice from error
    if price is not None and (listed is None or listed[1] != Price.Source.GENAI_PRICES):
        return price
    if listed is None:
        raise NoPrice
    return prices.offer(model.id, *listed, price)


def listed_rates(model: Model) -> tuple[Rates, str] | None:
    """The rates in a list, and the source of the list. Raises BadPrice for an invalid price."""
    if model.pricing:
        return openrouter_prices.read(dict(model.pricing)), Price.Source.OPENROUTER
    if model.endpoint.name == "openrouter":
        return None
    rates = look_up(model.provider_name, model.endpoint.base_url)
    return (rates, Price.Source.GENAI_PRICES) if rates else None


def hold_for_reply(owner: User, reply: Reply, model: Model, text: str | None) -> None:
    """Hold the least that a reply needs, when it is placed. Raises OutOfCredit, NoPrice.

    `text`: the text of its prompt, if it is known.
    """
    if free_reason(model):
        return
    prompt = UNKNOWN_PROMPT_TOKENS if text is None else estimate_tokens(text) + TOKENS_PER_MESSAGE
    key = holds.answer_key(reply.id)
    # Web processes do not load the table, which takes memory: the worker looks again.
    price = price_of(model, accept_stored=True)
    holds.place(
        owner,
        key,
        price,
        prompt,
        chat_id=reply.chat_id,
        reply_id=reply.id,
        answer_tokens=least_answer_tokens(model),
    )


async def model_of(owner: User, model_id: str) -> Model | None:
    """The model with this id; None if it is no longer offered, which the worker then reports."""
    try:
        return await find_for(owner, model_id)
    except UnknownModelError:
        return None


def within_price(model: Model, price: Price) -> Model:
    """The model as far as the price covers it: its window is cut to the longest prompt, and it only
    writes if sound has no price."""
    if model.speaks and price.audio_output_micro_usd is None:
        model = model.without_speech()
    limit = price.prompt_limit_tokens or model.context_tokens
    return replace(model, context_tokens=min(limit, model.context_tokens))


def reserve(
    order: WorkOrder,
    attempt: int,
    model: Model,
    price: Price,
    tokens: int,
    pictures: int = 0,
    sound_tokens: int = 0,
) -> Budget:
    """Reserve credit for an attempt whose prompt has `tokens` tokens, those of its pictures and its
    sound included, which may have prices of their own besides.

    Raises OutOfCredit, and FencedError if the chat moved to an account or was erased after the
    order was loaded: the worker that continues the reply there has the hold then.
    """
    most = holds.most_answer_tokens(model.context_tokens, tokens, model.max_output_tokens)
    least = least_answer_tokens(model)
    if model.uses_images_api:
        most = max(most, least)
    call = call_of(order.reply, attempt, model.id, "")
    with transaction.atomic():
        # Locked: otherwise a worker that was frozen here would hold credit of the former owner.
        own = Chat.objects.select_for_update().filter(owner_id=order.reply.chat.owner_id)
        if not own.filter(id=order.reply.chat_id).exists():
            raise FencedError(order.reply_id)
        held = tokens + prices.tokens_worth_pictures(price, pictures)
        held += prices.tokens_worth_sound(price, sound_tokens)
        return holds.reserve(order.reply.chat.owner, call, price, held, most, least)


def least_answer_tokens(model: Model) -> int:
    """The shortest useful answer: a picture, if the model makes any. `/images/generations` has no
    bound on what a picture costs, so there the dearest one counts."""
    if model.uses_images_api:
        return MAX_PICTURE_TOKENS
    return holds.MIN_ANSWER_TOKENS + (PICTURE_OUTPUT_TOKENS if model.makes_pictures else 0)


def call_of(reply: Reply, attempt: int, model_id: str, free: str) -> Call:
    """One attempt at a reply, as billing identifies it."""
    key = holds.answer_key(reply.id)
    return Call(
        hold_key=key,
        key=f"{key}:{attempt}",
        purpose=Usage.Purpose.ANSWER,
        person_id=reply.chat.owner_id,
        model=model_id,
        chat_id=reply.chat_id,
        reply_id=reply.id,
        attempt=attempt,
        free=free,
    )


class Offer(NamedTuple):
    """A model that can be used. `rates`: those by which credit is charged; None where it is not."""

    model: Model
    rates: Rates | None = None

    def to_json(self) -> dict[str, Any]:
        """The model as docs/protocol.md has it: with its price, and with `free`, whether it costs
        its user nothing."""
        is_free = self.rates is None or prices.costs_nothing(self.rates)
        shown: dict[str, Any] = self.model.to_dict() | {"free": is_free}
        if self.rates is not None and not is_free:
            shown["input_micro_usd"] = self.rates.input_micro_usd
            shown["output_micro_usd"] = self.rates.output_micro_usd
        return shown


def with_price(models: list[Model]) -> list[Offer]:
    """The models that can be used, for free or on credit."""
    paid = [model.id for model in models if not free_reason(model)]
    known = prices.latest(paid) if paid else {}
    offers = (_offer(model, known.get(model.id)) for model in models)
    return [offer for offer in offers if offer is not None]


def _offer(model: Model, price: Price | None) -> Offer | None:
    """The offer with the price that `price_of` would find, as far as a web process knows; the
    worker refuses a model with an invalid price in the table of genai-prices. `price`: the stored
    one."""
    if free_reason(model):
        return Offer(model)
    if price is None:
        rates = _listed(model)
        return Offer(model, rates) if rates else None
    if price.source != Price.Source.STAFF and _is_refused(model.pricing):
        return None
    return Offer(model, prices.rates_of(price))


@lru_cache(maxsize=4_096)
def _is_refused(pricing: tuple[tuple[str, str], ...]) -> bool:
    """Whether a list has an invalid price. Cached, because every page asks this for every model."""
    try:
        openrouter_prices.read(dict(pricing) or {"prompt": "0", "completion": "0"})
    except BadPrice:
        return True
    return False


def _listed(model: Model) -> Rates | None:
    try:
        listed = listed_rates(model)
    except BadPrice:
        return None
    return listed[0] if listed else None


def _is_local(model: Model) -> bool:
    endpoint = model.endpoint
    if endpoint.name in LOCAL_ENDPOINTS:
        return True
    if endpoint.name == "openrouter":
        return False
    host = (urlsplit(endpoint.base_url).hostname or "").lower()
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(LOCAL_SUFFIXES)
    return address.is_private or address.is_loopback or address.is_link_local
