"""A title for a chat, written by the model after the first reply.

This is a background call: nothing waits for it. If it fails, or credit is short, the first words of
the chat remain its title. HOLDFAST_BACKGROUND_CALLS=False turns it off for everybody; people can
turn it off for themselves.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.db.models import QuerySet

from billing import holds
from billing.errors import BillingError
from billing.models import Usage
from billing.token_usage import TokenUsage
from chat import chats
from chat.charging import pricing
from chat.charging.attempts import usage_of_stored
from chat.errors import ChatNotFound
from chat.generation.title_text import title_in
from chat.llm.catalogue import Catalogue, Model, UnknownModelError
from chat.llm.client import Delta, Finish, stream_answer
from chat.llm.errors import ProviderError
from chat.llm.prompt import Prompt, PromptMessage, build_prompt
from chat.llm.user_models import find_for_call
from chat.models import Chat
from chat.work_orders import WorkOrder
from streams.errors import StreamsError

logger = logging.getLogger(__name__)

# The length of the excerpt of each message in the prompt.
EXCERPT_CHARS = 600
# The call is cut off beyond these. Some models mark only the end of their reasoning, which arrives
# as text until then.
ANSWER_MAX_CHARS = 4_000
ANSWER_MAX_TOKENS = 1_000  # on credit; some models reason before they write
THOUGHT_MAX_CHARS = 16_000
# Less than chat/charging/reconcile.py: TITLE_GONE_AFTER_S.
ASK_LIMIT_S = 120.0
INSTRUCTION = (
    "Write a title of two to six words for the conversation below. "
    "Reply with the title alone: no quotes, no full stop.\n\n"
)


async def improve(order: WorkOrder, texts: Sequence[str], catalogue: Catalogue) -> None:
    """Replace the first words by a title, once, after the first reply of a chat. `texts`: the texts
    of the chat from the first message down to the reply.
    """
    if not (settings.BACKGROUND_CALLS and order.preferences.background_calls):
        return
    if len(texts) != 2:
        return
    if not await sync_to_async(_has_start_title)(order):
        return
    try:
        title = await _ask_model(order, texts, catalogue)
        if title and await sync_to_async(_set_title)(order, title):
            chat = order.reply.chat
            await chats.tell_title_by_model(chat.owner, chat.id, title)
    except (
        ProviderError,
        UnknownModelError,
        ChatNotFound,
        StreamsError,
        BillingError,
        DatabaseError,
    ) as error:
        logger.info("no title for chat %s: %s", order.chat_id, error)
    except TimeoutError:
        logger.info("no title for chat %s: it took too long", order.chat_id)


async def _ask_model(order: WorkOrder, texts: Sequence[str], catalogue: Catalogue) -> str:
    model = await find_for_call(order.reply.chat.owner_id, order.reply.model, catalogue)
    if model.makes_pictures or model.speaks:  # It could make one instead of a title, or say it.
        return ""
    question, answer = (text[:EXCERPT_CHARS] for text in texts)
    text = f"{INSTRUCTION}User: {question}\n\nAssistant: {answer}"
    prompt = await build_prompt([PromptMessage("user", text)], model)
    max_tokens = await sync_to_async(_hold)(order, model, prompt)
    written, usage = Delta(), None
    try:
        async with (
            asyncio.timeout(ASK_LIMIT_S),
            aclosing(stream_answer(model, prompt, max_tokens=max_tokens)) as stream,
        ):
            async for item in stream:
                if isinstance(item, Finish):
                    usage = item.usage
                    continue
                written = item.after(written)
                if _is_too_long(written):
                    break
    finally:
        usage = usage or usage_of_stored(prompt.prompt_tokens, written.text, written.reasoning)
        await sync_to_async(_settle)(order, model, usage)
    return title_in(written.text)


def _is_too_long(written: Delta) -> bool:
    return len(written.text) > ANSWER_MAX_CHARS or len(written.reasoning) > THOUGHT_MAX_CHARS


def _hold(order: WorkOrder, model: Model, prompt: Prompt) -> int | None:
    """Reserve credit. Returns how many tokens the model may write; None if the call is free.

    Raises OutOfCredit, NoPrice.
    """
    if pricing.free_reason(model):
        return None
    owner, chat_id = order.reply.chat.owner, order.reply.chat_id
    price, tokens = pricing.price_of(model), prompt.prompt_tokens
    key = _key(order)
    holds.place(owner, key, price, tokens, chat_id=chat_id, answer_tokens=ANSWER_MAX_TOKENS)
    return ANSWER_MAX_TOKENS


def _settle(order: WorkOrder, model: Model, usage: TokenUsage | None) -> None:
    call = holds.Call(
        hold_key=_key(order),
        key=_key(order),
        purpose=Usage.Purpose.TITLE,
        person_id=order.reply.chat.owner_id,
        model=model.id,
        chat_id=order.reply.chat_id,
        free=pricing.free_reason(model),
    )
    holds.charge(call, usage, last=True)


def _key(order: WorkOrder) -> str:
    return f"title:{order.reply_id}"


def _has_start_title(order: WorkOrder) -> bool:
    return _with_start_title(order).exists()


def _set_title(order: WorkOrder, title: str) -> bool:
    """Store the title. False if the owner has named the chat in the meantime."""
    changed = _with_start_title(order).update(title=title, title_by=Chat.TitleBy.MODEL)
    return changed == 1


def _with_start_title(order: WorkOrder) -> QuerySet[Chat]:
    """The chat, if a model may name it. A temporary chat has no title."""
    return Chat.objects.filter(
        id=order.reply.chat_id,
        title_by=Chat.TitleBy.START,
        deleted_at=None,
        is_temporary=False,
    )
