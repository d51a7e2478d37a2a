"""Who pays for a call of a model, and the holds of answers. Sync but for `model_of`.

The only place that decides what is free: local models, a person's own keys, and everything where
the operator pays.
"""

import logging
import uuid
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

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
from chat.llm.tokens import TOKENS_PER_MESSAGE, estimate_tokens
from chat.llm.user_models import find_for, is_own
from chat.models import Chat, Reply
from chat.work_orders import WorkOrder
from streams.errors import FencedError

logger = logging.getLogger(__name__)

LOCAL_ENDPOINTS = ("local", "ollama")
LOCAL_SUFFIXES = (".local", ".localhost", ".internal", ".lan", ".home.arpa")
# What is held for a prompt whose text is not at hand when it is ordered.
UNKNOWN_PROMPT_TOKENS = 200


def free_reason(model: Model) -> str:
    """Why calls of this model cost its user nothing; empty when they do."""
    if model.own_key:
        return str(Usage.Free.OWN_KEY)
    if _is_local(model):
        return str(Usage.Free.LOCAL)
    return "" if settings.BILLING else str(Usage.Free.HOUSE)


def free_by_name(model_id: str) -> str:
    """The same of a model that is not at hand, as far as its name tells."""
    if is_own(model_id):
        return str(Usage.Free.OWN_KEY)
    if model_id.partition("/")[0] in LOCAL_ENDPOINTS:
        return str(Usage.Free.LOCAL)
    return "" if settings.BILLING else str(Usage.Free.HOUSE)


def cost_to_show(model: Model, cost_micro_usd: int | None) -> int | None:
    """Of a free call, what its provider asks of somebody: of who has the key, or of the operator.
    What a local server says of itself is nobody's cost."""
    told = (Usage.Free.OWN_KEY, Usage.Free.HOUSE)
    return cost_micro_usd if free_reason(model) in told else None


def was_counted(reply_id: uuid.UUID) -> bool:
    """Whether an answer of this id, of a chat that is erased perhaps, is in the books."""
    return Usage.objects.filter(reply_id=reply_id).exists()


def price_of(model: Model, *, noted_will_do: bool = False) -> Price:
    """The price that holds now. One that is only in the lists is noted, as is what the table says
    of this hour. OpenRouter's list is noted by the chore alone: what this process has read
    of it may be older than the version in the database.

    Raises NoPrice, also when its list has come to say what is no price: then none holds but what
    staff has set. `noted_will_do`: one of the table is not looked up again.
    """
    price = prices.current(model.id)
    if price is not None and price.source == Price.Source.STAFF:
        return price
    if price is not None and noted_will_do and price.source == Price.Source.GENAI_PRICES:
        return price
    try:
        found = listed_rates(model)
    except BadPrice as error:
        logger.warning("%s cannot be used on credit: %s", model.id, error)
        raise NoPrice from error
    if price is not None and (found is None or found[1] != Price.Source.GENAI_PRICES):
        return price
    if found is None:
        raise NoPrice
    return prices.offer(model.id, *found)


def listed_rates(model: Model) -> tuple[Rates, str] | None:
    """What the lists say that it costs, and which one. Raises BadPrice for what is no price."""
    if model.pricing:
        return openrouter_prices.read(dict(model.pricing)), Price.Source.OPENROUTER
    if model.endpoint.name == "openrouter":
        return None
    rates = look_up(model.provider_name, model.endpoint.base_url)
    return (rates, Price.Source.GENAI_PRICES) if rates else None


def hold_for_order(owner: User, reply: Reply, model: Model, text: str | None) -> None:
    """With the order: hold what its answer needs at least. Raises OutOfCredit or NoPrice."""
    if free_reason(model):
        return
    prompt = UNKNOWN_PROMPT_TOKENS if text is None else estimate_tokens(text) + TOKENS_PER_MESSAGE
    key = holds.answer_key(reply.id)
    # The table takes memory, which web processes are spared: the worker looks again.
    price = price_of(model, noted_will_do=True)
    holds.place(owner, key, price, prompt, chat_id=reply.chat_id, reply_id=reply.id)


async def model_of(owner: User, model_id: str) -> Model | None:
    """None when it is not offered any more: the worker then says so."""
    try:
        return await find_for(owner, model_id)
    except UnknownModelError:
        return None


def within_price(model: Model, price: Price) -> Model:
    """The model as far as this price goes."""
    limit = price.prompt_limit_tokens or model.context_tokens
    return replace(model, context_tokens=min(limit, model.context_tokens))


def reserve(order: WorkOrder, attempt: int, model: Model, price: Price, tokens: int) -> Budget:
    """Before an attempt with a prompt of so many tokens.

    Raises OutOfCredit; FencedError when the chat has gone to an account, or with its owner, since
    the order was loaded: whoever goes on with it there has the hold.
    """
    most = holds.most_answer_tokens(model.context_tokens, tokens, model.max_output_tokens)
    call = call_of(order.reply, attempt, model.id, "")
    with transaction.atomic():
        # Locked: a worker that was frozen here would otherwise hold for whom the chat has left.
        own = Chat.objects.select_for_update().filter(owner_id=order.owner_id)
        if not own.filter(id=order.reply.chat_id).exists():
            raise FencedError(order.reply_id)
        return holds.reserve(order.reply.chat.owner, call, price, tokens, most)


def call_of(reply: Reply, attempt: int, model_id: str, free: str) -> Call:
    """One attempt at an answer, as billing knows it."""
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


def model_json(model: Model) -> dict[str, Any]:
    """What the page and the API show of it: also whether calling it costs its user nothing here."""
    return model.to_dict() | {"free": bool(free_reason(model))}


def offered(models: list[Model]) -> list[Model]:
    """Without those that can be used neither for free nor on credit."""
    paid = [model.id for model in models if not free_reason(model)]
    known = prices.priced(paid) if paid else set()
    return [m for m in models if free_reason(m) or _has_price(m, m.id in known)]


def _has_price(model: Model, is_known: bool) -> bool:
    """Whether `price_of` gives one, as far as web processes know: what the table of genai-prices
    has come to refuse is refused by the worker. `is_known`: there are versions of it."""
    if is_known and _is_refused(model.pricing):
        price = prices.current(model.id)
        return price is not None and price.source == Price.Source.STAFF
    return is_known or _is_listed(model)


@lru_cache(maxsize=4_096)
def _is_refused(pricing: tuple[tuple[str, str], ...]) -> bool:
    """Whether a list says what is no price. Kept: it is asked of each model for each page."""
    try:
        openrouter_prices.read(dict(pricing) or {"prompt": "0", "completion": "0"})
    except BadPrice:
        return True
    return False


def _is_listed(model: Model) -> bool:
    try:
        return listed_rates(model) is not None
    except BadPrice:
        return False


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
