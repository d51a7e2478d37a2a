"""Properties of models by their names, where the endpoint's list does not give them.

OpenAI's list, for one, has neither windows nor kinds of models. Windows come from genai-prices,
which has no maximum answer lengths, so these are listed here. If a window is too large, it is
corrected after the provider's refusal (chat.llm.prompt.smaller_window). If it is too small, prompts
leave out more messages than necessary.
"""

import re
from typing import NamedTuple

from billing.prices import genai as price_table

DEFAULT_CONTEXT_TOKENS = 8_192  # for unknown models; every model in use accepts this many
OLLAMA_CONTEXT_TOKENS = 4_096  # Ollama's default num_ctx
LOCAL_CONTEXT_TOKENS = 4_096  # Two full windows fit in the embedded model's shared cache.


class Family(NamedTuple):
    """A family of models, in tokens.

    `window` is used if genai-prices has none, or always with `is_known`, where genai-prices is
    wrong. `answer_apart`: the provider reserves `longest_answer` tokens of the window for the
    answer, however short it is.
    """

    pattern: str
    longest_answer: int
    window: int
    is_known: bool = False
    answer_apart: bool = False


_FAMILIES = (  # The first match counts.
    Family(r"gpt-5.*chat|chatgpt", 16_384, 128_000, is_known=True),
    Family(r"gpt-[5-9]", 128_000, 400_000, answer_apart=True),
    Family(r"gpt-4\.1", 32_768, 1_000_000),
    Family(r"gpt-4o", 16_384, 128_000),
    Family(r"o1-mini", 65_536, 128_000),
    Family(r"o[134]\b", 100_000, 200_000),
    Family(r"gpt-4", 4_096, 8_192),
    Family(r"gpt-3\.5", 4_096, 16_385),
    Family(r"gpt-oss", 131_072, 131_072),
    Family(r"claude", 64_000, 200_000),
    Family(r"gemini", 65_536, 1_048_576),
    Family(r"deepseek", 8_192, 65_536),
    Family(r"grok", 16_384, 131_072),
)
_NOT_CHAT = re.compile(
    r"embed|whisper|\btts\b|dall-e|moderation|transcribe|realtime|rerank|\bsora|\bbge-|\be5-"
    r"|-audio|gpt-image|chatgpt-image|stable-diffusion|\bflux|davinci-002|babbage-002"
    r"|gpt-3\.5-turbo-instruct|computer-use|deep-research|gpt-audio|omni-moderation"
    r"|o[13]-pro|gpt-5[^/]*-(pro|codex)|codex-mini",  # only in OpenAI's Responses API
    re.IGNORECASE,
)
# The default model of an endpoint: the first of these that it lists, the cheap and capable before
# the dear.
PREFERRED = {
    "openai": ("gpt-5-mini", "gpt-4.1-mini", "gpt-4o-mini", "gpt-5", "gpt-4.1", "gpt-4o"),
    "openrouter": (
        "openai/gpt-5-mini",
        "google/gemini-2.5-flash",
        "openai/gpt-4o-mini",
        "anthropic/claude-sonnet-4.5",
    ),
}
_SPELLING = {
    "smollm2": "SmolLM2",
    "gpt": "GPT",
    "chatgpt": "ChatGPT",
    "deepseek": "DeepSeek",
    "oss": "OSS",
    "gguf": "",
    "it": "Instruct",
}


def is_chat_model(name: str) -> bool:
    return not _NOT_CHAT.search(name)


def longest_answer(name: str) -> int | None:
    """The longest answer in tokens; None for an unknown family."""
    family = _family(name)
    return family.longest_answer if family else None


def usual_window(name: str, base_url: str) -> int:
    """The window in tokens, prompt and answer together.

    If genai-prices knows the provider by its address, its figures for that provider are used.
    Otherwise a name of a family is assumed to be its maker's model.
    """
    family = _family(name)
    if family is None:
        return price_table.context_tokens(name, base_url) or DEFAULT_CONTEXT_TOKENS
    if family.is_known:
        return family.window
    window = price_table.context_tokens(name, base_url)
    window = window or price_table.context_tokens(_last(name)) or family.window
    return window - family.longest_answer if family.answer_apart else window


def _family(name: str) -> Family | None:
    last = _last(name)
    return next((family for family in _FAMILIES if re.match(family.pattern, last)), None)


def _last(name: str) -> str:
    """ "openai/GPT-5" -> "gpt-5"."""
    return name.rpartition("/")[2].lower()


def pretty_name(name: str) -> str:
    """ "smollm2-135m-instruct" -> "SmolLM2 135M Instruct", "gpt-4o-mini" -> "GPT-4o Mini"."""
    base = re.sub(r"(:latest|\.gguf)$", "", name.rpartition("/")[2] or name, flags=re.IGNORECASE)
    words = [_pretty_word(word) for word in re.split(r"[-_\s]+", base) if word]
    joined = " ".join(word for word in words if word)
    return re.sub(r"\b(Chat)?GPT (?=\d)", r"\1GPT-", joined) or name


def _pretty_word(word: str) -> str:
    lower = word.lower()
    if lower in _SPELLING:
        return _SPELLING[lower]
    if re.fullmatch(r"\d+(\.\d+)?[bm]|q\d\w*", lower):
        return word.upper()
    return word[0].upper() + word[1:] if word.isalpha() and word.islower() else word
