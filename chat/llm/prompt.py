"""Builds the prompt: the newest messages of a chat, as many as fit the model's window.

The system message and the last message are always sent in full. The oldest exchanges (a question
with its answer) are left out until the rest fits. The page shows how many messages were left out.
Roles alternate and begin with the user (chat/llm/prompt_roles.py). Empty messages are not sent.
"""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from chat.llm.continuation import CONTINUE
from chat.llm.endpoints import Model
from chat.llm.errors import ContextTooLong
from chat.llm.listing import FetchError, count_templated
from chat.llm.prompt_roles import Message, Spoken, to_alternating, tokens_after
from chat.llm.tokens import SLICE, TOKENS_PER_MESSAGE, estimate_tokens, off_loop
from streams.log import end_slice

# Reserved for the answer: at most this, and at most a quarter of the window.
ANSWER_TOKENS = 4096
# If a provider refuses a prompt as too long, the next one may have this share of its tokens.
REFUSED_PROMPT_FACTOR = 0.7
# The estimate is at most this many times too high. A server's own count replaces it.
MAX_ESTIMATE_ERROR = 8
COUNT_LIMIT_S = 12.0
# Work on a message that is counted already takes about as long as counting so many characters.
CHARS_PER_STEP = 20
# Servers that never respond must not block other work, and the addresses that people entered must
# not block the other servers. The key is `Endpoint.guarded`.
_counters = {
    False: ThreadPoolExecutor(4, "count"),
    True: ThreadPoolExecutor(4, "count-own"),
}


@dataclass(slots=True)
class PromptMessage:
    """A message to build prompts from. It never changes: the prompts of a chat share its messages,
    so that each text is counted once.

    `files`: what is attached, as `File` objects (docs/protocol.md) without thumbs.
    chat/files/prompt_files.py makes text and `pictures` of them, which count `picture_tokens`.
    Sound is among the pictures; of their tokens, `sound_tokens` are its.
    """

    role: str
    text: str
    files: tuple[dict[str, Any], ...] = ()
    pictures: tuple[str, ...] = ()
    picture_tokens: int = 0
    sound_tokens: int = 0
    _tokens: int | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def is_counted(self) -> bool:
        return self._tokens is not None

    @property
    def is_blank(self) -> bool:
        return not self.pictures and (not self.text or self.text.isspace())

    def tokens(self) -> int:
        """The estimated tokens."""
        if self._tokens is None:
            self._tokens = estimate_tokens(self.text) + self.picture_tokens
        return self._tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """`left_out`: how many earlier messages are left out. `prompt_tokens`: counted or estimated.
    `withheld`: the attached files that the model does not get (chat/events.py)."""

    messages: tuple[Message, ...]
    left_out: int
    prompt_tokens: int
    withheld: tuple[dict[str, str], ...] = ()
    # At most so many of its tokens are of sound.
    sound_tokens: int = 0

    @property
    def pictures(self) -> int:
        """How many pictures it has, without sounds, as long as they are named."""
        names = [name for message in self.messages for name in message.get("pictures", ())]
        return sum("." not in name for name in names)


def system_messages(of_person: str, of_project: str, of_chat: str) -> list[PromptMessage]:
    """The owner's instructions for all chats, for the chat's project and for this chat.

    They are one system message, because many models accept only one. The narrower ones come last,
    where they have the most effect.
    """
    text = "\n\n".join(part for part in (of_person, of_project, of_chat) if part)
    return [PromptMessage("system", text)] if text else []


async def build_prompt(
    messages: Sequence[PromptMessage], model: Model, *, partial: str = ""
) -> Prompt:
    """The prompt for a chat.

    `messages`: oldest first. `partial`: the partial answer to continue, which needs room as well.
    Raises ContextTooLong if not even the last message fits.
    """
    room = model.context_tokens - answer_reserve(model)
    nonempty = [message for message in messages if not message.is_blank]
    system = [message for message in nonempty if message.role == "system"]
    spoken = [message for message in nonempty if message.role != "system"]
    extra, dialogue = _continuation(model, partial), _spoken(spoken)
    counter = _Counter()
    fixed = sum([await counter.tokens(m) + TOKENS_PER_MESSAGE for m in system + extra])
    tails = await _estimates_of_tails(spoken, dialogue, room, counter)
    await counter.spend(len(dialogue) * CHARS_PER_STEP)
    starts = [n for n, said in enumerate(dialogue) if said.role == "user"] or [0]
    # The last exchange begins with the last user message, which is always sent.
    first = _first_to_try([fixed + tails[start] for start in starts], model, room)
    low, high, best = first, len(starts) - 1, None
    while low <= high:
        is_first = best is None and low == first  # Usually everything fits.
        middle = first if is_first else (low + high) // 2
        kept = _spoken(system) + to_alternating(dialogue[starts[middle] :])
        asked = kept + _spoken(extra)
        tokens = await _count(asked, fixed + tails[starts[middle]], model, room)
        if tokens <= room:
            best, high = (kept, starts[middle], tokens), middle - 1
        else:
            low = middle + 1
    if best is None:
        raise ContextTooLong
    kept, left_out, tokens = best
    return Prompt(tuple(_to_dicts(kept)), left_out, tokens)


class _Counter:
    """Counts tokens in slices of SLICE characters (streams/log.py: end_slice)."""

    def __init__(self) -> None:
        self._chars = 0

    async def spend(self, chars: int) -> None:
        """Call it before work that takes as long as counting so many characters."""
        if self._chars and self._chars + chars > SLICE:
            await end_slice()
            self._chars = 0
        self._chars += chars

    async def tokens(self, message: PromptMessage) -> int:
        if not message.is_counted:
            await self.spend(len(message.text))
            await off_loop(message.tokens, chars=len(message.text))
        return message.tokens()


def _first_to_try(estimates: list[int], model: Model, room: int) -> int:
    """The first exchange from which the rest may fit. Longer prompts are not put together, because
    a chat may be many times what fits."""
    limit = room * MAX_ESTIMATE_ERROR if model.server == "llamacpp" else room
    fitting = (number for number, tokens in enumerate(estimates) if tokens <= limit)
    return next(fitting, len(estimates) - 1)


def _continuation(model: Model, partial: str) -> list[PromptMessage]:
    """The messages that chat/llm/request_form.py adds to continue a partial answer."""
    if not partial.strip():
        return []
    prefill = [PromptMessage("assistant", partial)]
    if model.continuation == "prefill":
        return prefill
    return [*prefill, PromptMessage("user", CONTINUE)]


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


async def _estimates_of_tails(
    messages: Sequence[PromptMessage],
    dialogue: Sequence[Spoken],
    room: int,
    counter: _Counter,
) -> list[int]:
    """For each message, the estimated tokens from it to the last one. `dialogue`: the same messages
    as they are joined.

    Once `room` is exceeded a character counts as a token, which is faster: a chat may be many times
    what fits.
    """
    sums, total = [0], 0
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        await counter.spend(CHARS_PER_STEP)
        total += await counter.tokens(message) if total <= room else len(message.text)
        total += tokens_after(dialogue, index)
        sums.append(total)
    return sums[::-1]


async def _count(messages: Sequence[Spoken], estimate: int, model: Model, room: int) -> int:
    """The tokens of a prompt, by the server's own tokenizer if it has one and the prompt may not
    fit; otherwise the estimate."""
    if model.server != "llamacpp":
        return estimate
    size = sum(len(said.text.encode()) + TOKENS_PER_MESSAGE for said in messages)
    has_pictures = any(said.pictures for said in messages)  # The server's counter has no names.
    if size <= room or has_pictures:  # A token has at least one byte.
        return estimate
    prompt = _to_dicts(messages)
    try:
        async with asyncio.timeout(COUNT_LIMIT_S):
            loop, counters = asyncio.get_running_loop(), _counters[model.endpoint.guarded]
            return await loop.run_in_executor(counters, count_templated, model.endpoint, prompt)
    except (FetchError, TimeoutError):
        return max(estimate, math.ceil(size / 2))


def _spoken(messages: Sequence[PromptMessage]) -> list[Spoken]:
    return [Spoken(message.role, message.text, message.pictures) for message in messages]


def _to_dicts(messages: Sequence[Spoken]) -> list[Message]:
    """Pictures are still named, under "pictures": `with_pictures` loads them."""
    return [
        {"role": said.role, "content": said.text}
        | ({"pictures": said.pictures} if said.pictures else {})
        for said in messages
    ]
