"""The lists of models that services give: OpenAI's form, and the others that are about.

{"data": [...]}, a bare list, {"models": [...]} (Ollama, Google), {"result": [...]} (Cloudflare);
entries are objects or names.
"""

from typing import Any

import orjson

MAX_NAME_CHARS = 200
MAX_MODELS = 600
MAX_VALUES = 300_000  # commas and opening brackets; the longest list known has a tenth
MAX_FIELD_CHARS = 150
_PLACES = ("data", "models", "result", "results", "items")
_NAMES = ("id", "model", "name")


def read_document(data: bytes) -> Any:
    """The JSON in what a service answered. Raises ValueError where it is none, or holds so many
    values that they would fill the memory: as objects they take twenty times that of their text."""
    if data.count(b",") + data.count(b"{") + data.count(b"[") > MAX_VALUES:
        raise ValueError("too many values")
    return orjson.loads(data)


def listed_entries(document: object) -> list[dict[str, Any]] | None:
    """The entries, each with an `id` of its own, in their order; None when it is no such list."""
    entries = _list_in(document)
    if entries is None:
        return None
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = _name_of(entry)
        if name and name not in found:
            found[name] = {**entry, "id": name} if isinstance(entry, dict) else {"id": name}
    return list(found.values())


def _list_in(document: object) -> list[Any] | None:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return None
    for place in _PLACES:
        inner = document.get(place)
        if isinstance(inner, dict):  # {"data": {"models": [...]}}
            inner = next((inner[p] for p in _PLACES if isinstance(inner.get(p), list)), None)
        if isinstance(inner, list):
            return inner
    return None


def _name_of(entry: object) -> str:
    """Empty for an entry that nobody could ask for."""
    names = [entry] if isinstance(entry, str) else []
    if isinstance(entry, dict):
        names = [entry[key] for key in _NAMES if isinstance(entry.get(key), str)][:1]
    name = names[0].strip() if names else ""
    return name if name.isprintable() and len(name) <= MAX_NAME_CHARS else ""


# What is kept of a list that is stored with a person's key


def trimmed(document: Any, key: str, provider: str) -> list[dict[str, Any]] | None:
    """The entries of a list of models with the fields we know; None when it is no such list.

    An entry that holds the key is left out: the list is stored and shown.
    """
    entries = listed_entries(document)
    if entries is None:
        return None
    found = []
    for entry in entries:
        kept = _kept(entry, provider)
        if kept["id"] and key not in orjson.dumps(kept).decode():
            found.append(kept)
    if provider == "openai":
        found.sort(key=lambda kept: -int(kept.get("created", 0)))
    return found[:MAX_MODELS]


def _kept(entry: dict[str, Any], provider: str) -> dict[str, Any]:
    name = entry["id"].removeprefix("models/") if provider == "google" else entry["id"]
    kept: dict[str, Any] = {"id": name if _is_plain(name) else ""}
    shown = entry.get("name") or entry.get("display_name")
    if _is_plain(shown):
        kept["name"] = shown
    if entry.get("owned_by") in ("llamacpp", "vllm"):
        kept["owned_by"] = entry["owned_by"]
    numbers = ("created", "max_model_len", "context_length", "context_window", "max_context_length")
    kept |= {name: entry[name] for name in numbers if _is_number(entry.get(name))}
    for group, names in (
        ("top_provider", ("context_length", "max_completion_tokens")),
        ("meta", ("n_ctx",)),
    ):
        inner = {name: inside(entry, group, name) for name in names}
        if inner := {name: value for name, value in inner.items() if _is_number(value)}:
            kept[group] = inner
    outputs = inside(entry, "architecture", "output_modalities")
    if isinstance(outputs, list) and "text" not in outputs:
        kept["architecture"] = {"output_modalities": []}
    return kept


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_FIELD_CHARS


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def inside(entry: Any, group: str, name: str) -> object:
    inner = entry.get(group) if isinstance(entry, dict) else None
    return inner.get(name) if isinstance(inner, dict) else None
