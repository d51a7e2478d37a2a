"""Builds the prompt: the newest messages of a chat, as many as fit the model's window.

The system message and the last message are always sent in full. The oldest exchanges (a question
with its answer) are left out until the rest fits. The page shows how many messages were left out.
Roles alternate and begin with the user (chat/llm/prompt_roles.py). Empty messages are not sent.
"""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from chat.llm.continuation import CONTINUE
from chat.llm.endpoints import Model
from chat.llm.errors import ContextTooLong
from chat.llm.listing import FetchError, count_templated
from chat.llm.prompt_roles import to_alternating, tokens_after
from chat.llm.tokens import TOKENS_PER_MESSAGE, estimate_tokens, off_loop

# Reserved for the answer: at most this, and at most a quarter of the window.
ANSWER_TOKENS = 4096
# If a provider refuses a prompt as too long, the next one may have this share of its tokens.
REFUSED_PROMPT_FACTOR = 0.7
# The estimate is at most this many times too high. A server's own count replaces it.
MAX_ESTIMATE_ERROR = 8
COUNT_LIMIT_S = 12.0
# Servers that never respond must not block other work, and the addresses that people entered must
# not block the other servers. The key is `Endpoint.guarded`.
_counters = {
    False: ThreadPoolExecutor(4, "count"),
    True: ThreadPoolExecutor(4, "count-own"),
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """`left_out`: how many earlier messages are left out. `prompt_tokens`: counted or estimated."""

    messages: tuple[dict[str, str], ...]
    left_out: int
    prompt_tokens: int


def system_messages(of_person: str, of_chat: str) -> list[tuple[str, str]]:
    """The owner's instructions for all chats and for this one, as (role, text).

    They are one system message, because many models accept only one. The instructions for this
    chat come last, where they have the most effect.
    """
    text = "\n\n".join(part for part in (of_person, of_chat) if part)
    return [("system", text)] if text else []


async def build_prompt(
    messages: Sequence[tuple[str, str]],
    model: Model,
    *,
    partial: str = "",
) -> Prompt:
    """The prompt for a chat.

    `messages`: (role, text), oldest first. `partial`: the partial answer to continue, which needs
    room as well. Raises ContextTooLong if not even the last message fits.
    """
    room = model.context_tokens - answer_reserve(model)
    nonempty = [message for message in messages if message[1].strip()]
    system = [message for message in nonempty if message[0] == "system"]
    dialogue = [message for message in nonempty if message[0] != "system"]
    extra = _continuation(model, partial)
    chars = sum(len(text) for _, text in system + extra)
    fixed = await off_loop(_estimate, system + extra, chars=chars)
    chars = sum(len(text) for _, text in dialogue)
    tails = await off_loop(_estimates_of_tails, dialogue, room, chars=chars)
    starts = [n for n, (role, _) in enumerate(dialogue) if role == "user"] or [0]
    # The last exchange begins with the last user message, which is always sent.
    first = _first_to_try([fixed + tails[start] for start in starts], model, room)
    low, high, best = first, len(starts) - 1, None
    while low <= high:
        is_first = best is None and low == first  # Usually everything fits.
        middle = first if is_first else (low + high) // 2
        kept = system + to_alternating(dialogue[starts[middle] :])
        tokens = await _count(kept + extra, fixed + tails[starts[middle]], model, room)
        if tokens <= room:
            best, high = (kept, starts[middle], tokens), middle - 1
        else:
            low = middle + 1
    if best is None:
        raise ContextTooLong
    kept, left_out, tokens = best
    return Prompt(tuple(_to_dicts(kept)), left_out, tokens)


def _first_to_try(estimates: list[int], model: Model, room: int) -> int:
    """The first exchange from which the rest may fit. Longer prompts are not put together, because
    a chat may be many times what fits."""
    limit = room * MAX_ESTIMATE_ERROR if model.server == "llamacpp" else room
    fitting = (number for number, tokens in enumerate(estimates) if tokens <= limit)
    return next(fitting, len(estimates) - 1)


def _continuation(model: Model, partial: str) -> list[tuple[str, str]]:
    """The messages that chat/llm/request_form.py adds to continue a partial answer."""
    if not partial.strip():
        return []
    prefill = [("assistant", partial)]
    return prefill if model.continuation == "prefill" else [*prefill, ("user", CONTINUE)]


def answer_reserve(model: Model) -> int:
    limit = min(ANSWER_TOKENS, model.context_tokens // 4)
    return min(limit, model.max_output_tokens or limit)


def smaller_window(model: Model, prompt: Prompt, error: ContextTooLong) -> Model:
    """The model with a smaller window, after it refused `prompt`, for building another prompt."""
    room = int(prompt.prompt_tokens * REFUSED_PROMPT_FACTOR)
    # The window in which `answer_reserve` leaves this much room.
    window = room + min(ANSWER_TOKENS, room // 3, model.max_output_tokens or ANSWER_TOKENS)
    if error.limit_tokens and error.limit_tokens < model.context_tokens:
        window = error.limit_tokens
    return replace(model, context_tokens=min(window, model.context_tokens - 1))


def _estimate(messages: Sequence[tuple[str, str]]) -> int:
    return sum(estimate_tokens(text) + TOKENS_PER_MESSAGE for _, text in messages)


def _estimates_of_tails(messages: Sequence[tuple[str, str]], room: int) -> list[int]:
    """For each message, the estimated tokens from it to the last one.

    Once `room` is exceeded a character counts as a token, which is faster: a chat may be many times
    what fits.
    """
    sums, total = [0], 0
    for index in range(len(messages) - 1, -1, -1):
        text = messages[index][1]
        total += estimate_tokens(text) if total <= room else len(text)
        total += tokens_after(messages, index)
        sums.append(total)
    return sums[::-1]


async def _count(
    messages: Sequence[tuple[str, str]], estimate: int, model: Model, room: int
) -> int:
    """The tokens of a prompt, by the server's own tokenizer if it has one and the prompt may not
    fit; otherwise the estimate."""
    if model.server != "llamacpp":
        return estimate
    size = sum(len(text.encode()) + TOKENS_PER_MESSAGE for _, text in messages)
    if size <= room:  # A token has at least one byte.
        return estimate
    prompt = _to_dicts(messages)
    try:
        async with asyncio.timeout(COUNT_LIMIT_S):
            loop, counters = asyncio.get_running_loop(), _counters[model.endpoint.guarded]
            return await loop.run_in_executor(counters, count_templated, model.endpoint, prompt)
    except (FetchError, TimeoutError):
        return max(estimate, math.ceil(size / 2))


def _to_dicts(messages: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in messages]
