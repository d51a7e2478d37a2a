"""What of a conversation is sent to the model: as much of the newest as its window holds.

The system message and the last message are always sent, whole. Of the rest the oldest whole
exchanges (a question and what answered it) are left out until it fits; how many messages that were
is told, because nobody should have to guess what the model has not seen. Roles alternate, and the
first is the user's (chat/llm/prompt_roles.py); a message without a word is not sent.
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
from chat.llm.prompt_roles import alternating, tokens_after
from chat.llm.tokens import TOKENS_PER_TURN, estimate_tokens, off_loop

# Room kept for the answer: at most this, at most a quarter of the window.
ANSWER_TOKENS = 4096
# After a provider found a prompt too long that we thought would fit: our count was this far off.
SHRINK = 0.7
# No estimate is so many times too high; where nobody counts, it decides.
FAR_OFF = 8
COUNT_LIMIT_S = 12.0
# Servers that never answer hold up no other work, and those of people's own keys nobody else's. By
# whether the endpoint is a person's.
_counters = {
    False: ThreadPoolExecutor(4, "count"),
    True: ThreadPoolExecutor(4, "count-own"),
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """`left_out`: earlier messages not in it. `prompt_tokens`: counted or estimated."""

    messages: tuple[dict[str, str], ...]
    left_out: int
    prompt_tokens: int


def system_turns(of_person: str, of_chat: str) -> list[tuple[str, str]]:
    """The owner's instructions, for every chat and for this one, as one system message: many models
    know only one. What is for this chat comes last, where it counts most."""
    text = "\n\n".join(part for part in (of_person, of_chat) if part)
    return [("system", text)] if text else []


async def build_prompt(
    turns: Sequence[tuple[str, str]],
    model: Model,
    *,
    partial: str = "",
) -> Prompt:
    """`turns`: (role, text) from the oldest; `partial`: an answer begun, which needs room as well.

    Raises ContextTooLong when not even the last message fits.
    """
    room = model.context_tokens - answer_reserve(model)
    worded = [turn for turn in turns if turn[1].strip()]
    system = [turn for turn in worded if turn[0] == "system"]
    said = [turn for turn in worded if turn[0] != "system"]
    extra = _continuation(model, partial)
    chars = sum(len(text) for _, text in system + extra)
    fixed = await off_loop(_estimate, system + extra, chars=chars)
    chars = sum(len(text) for _, text in said)
    later = await off_loop(_estimates_from, said, room, chars=chars)
    starts = [n for n, (role, _) in enumerate(said) if role == "user"] or [0]
    # The last exchange begins with the last user message; nothing shorter makes sense.
    first = _first_to_try([fixed + later[start] for start in starts], model, room)
    low, high, best = first, len(starts) - 1, None
    while low <= high:
        is_first = best is None and low == first  # mostly all of it fits
        middle = first if is_first else (low + high) // 2
        kept = system + alternating(said[starts[middle] :])
        tokens = await _count(kept + extra, fixed + later[starts[middle]], model, room)
        if tokens <= room:
            best, high = (kept, starts[middle], tokens), middle - 1
        else:
            low = middle + 1
    if best is None:
        raise ContextTooLong
    kept, left_out, tokens = best
    messages = tuple({"role": role, "content": text} for role, text in kept)
    return Prompt(messages, left_out, tokens)


def _first_to_try(estimates: list[int], model: Model, room: int) -> int:
    """What is too long by far is not even put together: a chat may be many times what fits."""
    most = room * FAR_OFF if model.server == "llamacpp" else room
    fitting = (number for number, tokens in enumerate(estimates) if tokens <= most)
    return next(fitting, len(estimates) - 1)


def _continuation(model: Model, partial: str) -> list[tuple[str, str]]:
    """What chat/llm/client.py adds to go on with an answer that was begun."""
    if not partial.strip():
        return []
    begun = [("assistant", partial)]
    return begun if model.continuation == "prefill" else [*begun, ("user", CONTINUE)]


def answer_reserve(model: Model) -> int:
    limit = min(ANSWER_TOKENS, model.context_tokens // 4)
    return min(limit, model.max_output_tokens or limit)


def smaller_window(model: Model, prompt: Prompt, error: ContextTooLong) -> Model:
    """The model as it is to be treated after it refused `prompt`: build again with it."""
    room = int(prompt.prompt_tokens * SHRINK)
    # So much that `answer_reserve` leaves just this room.
    window = room + min(ANSWER_TOKENS, room // 3, model.max_output_tokens or ANSWER_TOKENS)
    if error.limit_tokens and error.limit_tokens < model.context_tokens:
        window = error.limit_tokens
    return replace(model, context_tokens=min(window, model.context_tokens - 1))


def _estimate(turns: Sequence[tuple[str, str]]) -> int:
    return sum(estimate_tokens(text) + TOKENS_PER_TURN for _, text in turns)


def _estimates_from(turns: Sequence[tuple[str, str]], room: int) -> list[int]:
    """Of the turns from each on to the last. Those that do not fit by far are counted as they come:
    a chat may be many times what a model reads, and nothing else happens here meanwhile."""
    sums, total = [0], 0
    for place in range(len(turns) - 1, -1, -1):
        text = turns[place][1]
        total += estimate_tokens(text) if total <= room else len(text)
        total += tokens_after(turns, place)
        sums.append(total)
    return sums[::-1]


async def _count(turns: Sequence[tuple[str, str]], estimate: int, model: Model, room: int) -> int:
    """By the server's own tokenizer where it offers one and the estimate is not far on one side."""
    if model.server != "llamacpp":
        return estimate
    size = sum(len(text.encode()) + TOKENS_PER_TURN for _, text in turns)
    if size <= room:  # no token is less than a byte
        return estimate
    messages = [{"role": role, "content": text} for role, text in turns]
    try:
        async with asyncio.timeout(COUNT_LIMIT_S):
            loop, counters = asyncio.get_running_loop(), _counters[model.endpoint.guarded]
            return await loop.run_in_executor(counters, count_templated, model.endpoint, messages)
    except (FetchError, TimeoutError):
        return max(estimate, math.ceil(size / 2))
