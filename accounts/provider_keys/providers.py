"""The providers whose keys people can add, and the format of their keys."""

import re
from dataclasses import dataclass

CUSTOM = "custom"
MIN_KEY_CHARS, MAX_KEY_CHARS = 8, 400


@dataclass(frozen=True, slots=True)
class Provider:
    """`url` is its OpenAI-compatible API, `shape` a regular expression that a whole key matches,
    `begins` a prefix of keys for the error message, `keys_url` the page where keys are made."""

    name: str
    label: str
    url: str
    shape: str
    begins: str
    keys_url: str


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider(
            "openai",
            "OpenAI",
            "https://api.openai.com/v1",
            r"sk-(?!ant-|or-)[\w-]{16,}",
            "sk-",
            "https://platform.openai.com/api-keys",
        ),
        Provider(
            "anthropic",
            "Anthropic",
            "https://api.anthropic.com/v1",
            r"sk-ant-[\w-]{16,}",
            "sk-ant-",
            "https://console.anthropic.com/settings/keys",
        ),
        Provider(
            "google",
            "Google",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            r"AIza[\w-]{35}|AQ\.[\w-]{20,}",
            "AIza",
            "https://aistudio.google.com/apikey",
        ),
        Provider(
            "openrouter",
            "OpenRouter",
            "https://openrouter.ai/api/v1",
            r"sk-or-[\w-]{16,}",
            "sk-or-",
            "https://openrouter.ai/settings/keys",
        ),
        Provider(
            "xai",
            "xAI",
            "https://api.x.ai/v1",
            r"xai-[\w-]{16,}",
            "xai-",
            "https://console.x.ai",
        ),
        Provider(CUSTOM, "OpenAI-compatible", "", r"[!-~]+", "", ""),
    )
}


def shape_problem(provider: Provider, key: str) -> str:
    """A sentence about the problem with the format of a key; empty if the format is valid."""
    if not key:
        return "Enter the key."
    if not re.fullmatch(r"[!-~]+", key):
        return "A key has no spaces and no special letters. Copy it again, and nothing else."
    if len(key) > MAX_KEY_CHARS:
        return "This is too long to be a key. Copy it again, and nothing else."
    if len(key) < MIN_KEY_CHARS:
        return "This is too short to be a key. Copy all of it."
    if re.fullmatch(provider.shape, key, re.ASCII):
        return ""
    for other in PROVIDERS.values():
        if other.name != CUSTOM and re.fullmatch(other.shape, key, re.ASCII):
            return f"This looks like a key of {other.label}. Choose {other.label} for it."
    return (
        f"This does not look like a key of {provider.label}, which begins with {provider.begins}. "
        "Copy all of it, and nothing else."
    )
