"""What is known of model families by their names, where an endpoint does not tell.

Only for what /models leaves out: OpenAI's list has neither windows nor kinds. Written down without
access to the providers' pages, so a figure may be off: one that is too large is mended by the
provider's refusal (chat.prompt.smaller_window), one that is too small only leaves out too much.
"""

import re

DEFAULT_CONTEXT_TOKENS = 8_192  # unknown model: small enough for any that is in use
OLLAMA_CONTEXT_TOKENS = 4_096  # Ollama's default num_ctx
LOCAL_CONTEXT_TOKENS = 4_096  # the embedded model's cache is shared: two full windows fit in it

# (pattern, what may be sent and answered together, longest answer), first match counts.
_WINDOWS = (
    (r"gpt-5.*chat|chatgpt", 128_000, 16_384),
    (r"gpt-5", 272_000, 128_000),  # the limit of what is sent; the answer has its own
    (r"gpt-4\.1", 1_047_576, 32_768),
    (r"gpt-4o", 128_000, 16_384),
    (r"o1-mini", 128_000, 65_536),
    (r"o[134]\b", 200_000, 100_000),
    (r"gpt-4-turbo|gpt-4-1106|gpt-4-0125", 128_000, 4_096),
    (r"gpt-4-32k", 32_768, 4_096),
    (r"gpt-4", 8_192, 4_096),
    (r"gpt-3\.5", 16_385, 4_096),
    (r"gpt-oss", 131_072, 131_072),
    (r"claude", 200_000, 64_000),
    (r"gemini", 1_048_576, 65_536),
    (r"deepseek", 65_536, 8_192),
    (r"grok", 131_072, 16_384),
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


def known_window(name: str) -> tuple[int | None, int | None]:
    """(context, longest answer) of a family, Nones when the name says nothing."""
    last = name.rpartition("/")[2].lower()
    for pattern, window, answer in _WINDOWS:
        if re.match(pattern, last):
            return window, answer
    return None, None


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
