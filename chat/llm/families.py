"""What is known of models by their names, where an endpoint does not tell.

Only for what /models leaves out: OpenAI's list has neither windows nor kinds. Windows are those of
the table of genai-prices; the table has no longest answers, so these are written down here. A
figure may be off: one that is too large is mended by the provider's refusal
(chat.llm.prompt.smaller_window), one that is too small only leaves out too much.
"""

import re
from typing import NamedTuple

from billing.prices import genai as price_table

DEFAULT_CONTEXT_TOKENS = 8_192  # unknown model: small enough for any that is in use
OLLAMA_CONTEXT_TOKENS = 4_096  # Ollama's default num_ctx
LOCAL_CONTEXT_TOKENS = 4_096  # the embedded model's cache is shared: two full windows fit in it


class Family(NamedTuple):
    """`window`: where the table has none, or has it wrong (`is_known`). `answer_apart`: a share of
    the window as long as the longest answer is kept for the answer, however short that is."""

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
    r"|o[13]-pro|gpt-5[^/]*-(pro|codex)|codex-mini",  # OpenAI: only over its Responses API
    re.IGNORECASE,
)
# Which model of an endpoint is the default: the first of these that it lists, cheap and able.
PREFERRED = {
    "openai": ("gpt-5-mini", "gpt-5", "gpt-4.1-mini", "gpt-4o-mini", "gpt-4.1", "gpt-4o"),
    "openrouter": (
        "openai/gpt-5-mini",
        "google/gemini-2.5-flash",
        "anthropic/claude-sonnet-4.5",
        "openai/gpt-4o-mini",
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
    """In tokens; None when the name says nothing."""
    family = _family(name)
    return family.longest_answer if family else None


def usual_window(name: str, base_url: str) -> int:
    """How many tokens may be sent and answered together.

    A provider that the table knows by its address has figures of its own there. Elsewhere a name of
    a family is taken for its maker's model.
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
