"""Reader for HOLDFAST_MODELS, the models that the operator names."""

import re

from django.core.exceptions import ImproperlyConfigured

ENDPOINTS = ("openai", "openrouter", "ollama", "local")


def named_models(entries: list[str]) -> dict[str, list[tuple[str, int | None]]]:
    """HOLDFAST_MODELS ("openai/sonar-pro=200000,openai/sonar") as {endpoint: [(name, context window
    in tokens or None)]}, in order. Raises ImproperlyConfigured."""
    models: dict[str, list[tuple[str, int | None]]] = {}
    for entry in filter(None, (entry.strip() for entry in entries)):
        parts = re.fullmatch(r"(\w+)/(.+?)(?:=(\d{1,9}))?", entry)
        if not parts or parts[1] not in ENDPOINTS or not parts[2].isprintable():
            raise ImproperlyConfigured(
                "HOLDFAST_MODELS must be a list such as openai/sonar-pro,openai/sonar=128000, "
                f"each with one of {', '.join(ENDPOINTS)} and a slash before the name, "
                f"but has {entry!r}."
            )
        named = models.setdefault(parts[1], [])
        if parts[2] not in {name for name, _ in named}:
            named.append((parts[2], int(parts[3]) if parts[3] else None))
    return models
