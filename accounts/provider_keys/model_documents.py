"""Lists of models as services return them, in OpenAI's format and in others.

{"data": [...]}, a bare list, {"models": [...]} (Ollama, Google), {"result": [...]} (Cloudflare);
entries are objects or names.
"""

from typing import Any

import orjson

MAX_NAME_CHARS = 200
MAX_MODELS = 600
MAX_VALUES = 300_000  # commas and opening brackets; the longest known list has a tenth
MAX_FIELD_CHARS = 150
_PLACES = ("data", "models", "result", "results", "items")
_NAMES = ("id", "model", "name")


def read_document(data: bytes) -> Any:
    """Parse the JSON of a response. Raises ValueError if it is invalid, or has so many values that
    they would fill the memory: as objects they take twenty times the memory of their text."""
    if data.count(b",") + data.count(b"{") + data.count(b"[") > MAX_VALUES:
        raise ValueError("too many values")
    return orjson.loads(data)


def listed_entries(document: object) -> list[dict[str, Any]] | None:
    """The entries in their order, each with a unique `id`; None if this is not a list of models."""
    entries = _list_in(document)
    if entries is None:
        return None
    by_name: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = _name_of(entry)
        if name and name not in by_name:
            by_name[name] = {**entry, "id": name} if isinstance(entry, dict) else {"id": name}
    return list(by_name.values())


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
    """The model's name; empty if no request could carry it."""
    names = [entry] if isinstance(entry, str) else []
    if isinstance(entry, dict):
        names = [entry[key] for key in _NAMES if isinstance(entry.get(key), str)][:1]
    name = names[0].strip() if names else ""
    return name if name.isprintable() and len(name) <= MAX_NAME_CHARS else ""


# The part of a list that is stored with a person's key


def trimmed(document: Any, key: str, provider: str) -> list[dict[str, Any]] | None:
    """The entries with only the fields that we know; None if this is not a list of models.

    Entries that contain the key are left out, because the list is stored and shown.
    """
    entries = listed_entries(document)
    if entries is None:
        return None
    models = []
    for entry in entries:
        model = _known_fields(entry, provider)
        if model["id"] and key not in orjson.dumps(model).decode():
            models.append(model)
    if provider == "openai":
        models.sort(key=lambda model: -int(model.get("created", 0)))
    return models[:MAX_MODELS]


def _known_fields(entry: dict[str, Any], provider: str) -> dict[str, Any]:
    name = entry["id"].removeprefix("models/") if provider == "google" else entry["id"]
    fields: dict[str, Any] = {"id": name if _is_plain(name) else ""}
    shown = entry.get("name") or entry.get("display_name")
    if _is_plain(shown):
        fields["name"] = shown
    if entry.get("owned_by") in ("llamacpp", "vllm"):
        fields["owned_by"] = entry["owned_by"]
    numbers = ("created", "max_model_len", "context_length", "context_window", "max_context_length")
    fields |= {name: entry[name] for name in numbers if _is_number(entry.get(name))}
    for group, names in (
        ("top_provider", ("context_length", "max_completion_tokens")),
        ("meta", ("n_ctx",)),
    ):
        inner = {name: inside(entry, group, name) for name in names}
        if inner := {name: value for name, value in inner.items() if _is_number(value)}:
            fields[group] = inner
    outputs = inside(entry, "architecture", "output_modalities")
    if isinstance(outputs, list) and "text" not in outputs:
        fields["architecture"] = {"output_modalities": []}
    inputs = inside(entry, "architecture", "input_modalities")
    if isinstance(inputs, list):
        known = [kind for kind in ("text", "image", "audio") if kind in inputs]
        fields["architecture"] = fields.get("architecture", {}) | {"input_modalities": known}
    able = entry.get("capabilities")
    if isinstance(able, dict) and isinstance(able.get("vision"), bool):
        said = {name: able.get(name) for name in ("vision", "audio")}
        fields["capabilities"] = {k: able for k, able in said.items() if isinstance(able, bool)}
    return fields


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_FIELD_CHARS


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def inside(entry: Any, group: str, name: str) -> object:
    inner = entry.get(group) if isinstance(entry, dict) else None
    return inner.get(name) if isinstance(inner, dict) else None
