"""Reads the model lists of endpoints.

Web processes list models but never call one, so this uses neither the `openai` library (40 MB of
memory) nor an event loop. All functions block; the catalogue calls them in threads.
"""

import re
from dataclasses import replace
from typing import Any

import orjson

from accounts.provider_keys.address_filter import OutboundError
from accounts.provider_keys.http import fetch
from accounts.provider_keys.model_documents import list_query, listed_entries, read_document
from chat.llm.endpoints import OPENAI_URL, Endpoint, Model
from chat.llm.families import (
    LOCAL_CONTEXT_TOKENS,
    OLLAMA_CONTEXT_TOKENS,
    is_chat_model,
    longest_answer,
    pretty_name,
    usual_window,
)

TIMEOUT_S = 5.0
MAX_BYTES = 5_000_000
MAX_MODELS = 2_000
MAX_OLLAMA_DETAILS = 30  # one request each
_OLLAMA_INPUTS = (("audio", "audio"), ("image", "vision"))


class FetchError(Exception):
    """The endpoint could not be read; `status` is its HTTP status, if it responded."""

    def __init__(self, status: int | None = None, reason: str = "not reachable") -> None:
        super().__init__(f"status {status}" if status else reason)
        self.status = status


def fetch_json(
    url: str, endpoint: Endpoint, body: object = None, timeout_s: float = TIMEOUT_S
) -> Any:
    """The JSON document at `url`, by GET, or by POST with a body. Raises FetchError."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}", "Accept": "application/json"}
    data = None
    if body is not None:
        data = orjson.dumps(body)
        headers["Content-Type"] = "application/json"
    try:
        response = fetch(
            url,
            headers=headers,
            body=data,
            timeout_s=timeout_s,
            guarded=endpoint.guarded,
            max_bytes=MAX_BYTES,
        )
        if response.status >= 300:
            raise FetchError(response.status)
        return read_document(response.body)
    except ValueError as e:
        raise FetchError(reason="the response is not JSON") from e
    except OutboundError as e:
        raise FetchError from e


def fetch_models(endpoint: Endpoint) -> list[Model]:
    """The chat models of an endpoint, in its order; OpenAI's newest first. Raises FetchError."""
    query = list_query(endpoint.provider)
    url = f"{endpoint.base_url}/models"
    entries = listed_entries(fetch_json(f"{url}?{query}" if query else url, endpoint))
    if entries is None:
        raise FetchError(reason="the response is not a list")
    if endpoint.base_url == OPENAI_URL:
        entries.sort(key=_created, reverse=True)
    models = models_from_entries(endpoint, entries[:MAX_MODELS])
    if endpoint.name == "ollama":
        return [m for model in models if (m := _ollama_details(model, models.index(model)))]
    return models


def models_from_entries(endpoint: Endpoint, entries: list[dict[str, Any]]) -> list[Model]:
    """The chat models among the entries of a list; each entry has an `id`."""
    return [model for entry in entries if (model := _model(endpoint, entry))]


def make_named_model(endpoint: Endpoint, name: str, context_tokens: int | None = None) -> Model:
    """A model of which only the name is known, and possibly the window."""
    return Model(
        id=f"{endpoint.name}/{name}",
        name=pretty_name(name),
        endpoint=endpoint,
        context_tokens=context_tokens or _usual_window(endpoint, name),
        max_output_tokens=longest_answer(name),
        server="ollama" if endpoint.name == "ollama" else "",
    )


def count_templated(endpoint: Endpoint, messages: list[dict[str, Any]]) -> int:
    """The exact number of tokens of a prompt, by llama.cpp's template and tokenizer.

    Raises FetchError.
    """
    try:
        text = fetch_json(f"{endpoint.root}/apply-template", endpoint, {"messages": messages})
        request = {"content": text["prompt"], "add_special": True, "parse_special": True}
        return len(fetch_json(f"{endpoint.root}/tokenize", endpoint, request)["tokens"])
    except (KeyError, TypeError) as e:
        raise FetchError from e


def _usual_window(endpoint: Endpoint, name: str) -> int:
    """The window in tokens, for a model whose endpoint does not give it."""
    if endpoint.name == "ollama":
        return OLLAMA_CONTEXT_TOKENS
    return usual_window(name, endpoint.base_url)


def _model(endpoint: Endpoint, entry: dict[str, Any]) -> Model | None:
    name = entry["id"]
    outputs = _inside(entry, "architecture", "output_modalities")
    if isinstance(outputs, list) and not {"text", "image"} & set(map(str, outputs)):
        return None
    windows = (
        _inside(entry, "top_provider", "context_length"),
        _inside(entry, "meta", "n_ctx"),  # llama.cpp, per slot
        entry.get("max_model_len"),  # vLLM
        entry.get("context_length"),
        entry.get("context_window"),  # Groq
        entry.get("max_context_length"),  # Mistral
    )
    output = _inside(entry, "top_provider", "max_completion_tokens") or longest_answer(name)
    owner = str(entry.get("owned_by", ""))
    server = owner if owner in ("llamacpp", "vllm") else ""
    listed = next((n for n in windows if type(n) is int and n > 0), None)
    context = listed or _usual_window(endpoint, name)
    model = Model(
        id=f"{endpoint.name}/{name}",
        name=str(entry.get("name") or pretty_name(name))[:100],
        endpoint=endpoint,
        context_tokens=min(context, LOCAL_CONTEXT_TOKENS) if endpoint.name == "local" else context,
        max_output_tokens=output if isinstance(output, int) and output > 0 else None,
        server="ollama" if endpoint.name == "ollama" else server,
        pricing=_pricing(entry),
        listed_inputs=_inputs(entry),
        listed_outputs=tuple(map(str, outputs)) if isinstance(outputs, list) else (),
    )
    is_made = model.makes_pictures or model.speaks
    is_wanted = is_chat_model(name) or is_made or entry.get("by_hand") is True
    return model if is_wanted else None


def _inputs(entry: dict[str, Any]) -> tuple[str, ...]:
    """What the model reads; empty if the list does not say."""
    listed = _inside(entry, "architecture", "input_modalities")  # OpenRouter, llama.cpp
    if isinstance(listed, list):
        return tuple(sorted({kind for kind in listed if isinstance(kind, str)}))
    able = entry.get("capabilities")
    if isinstance(able, dict) and isinstance(able.get("vision"), bool):  # Mistral
        named = (("audio", "audio"), ("image", "vision"))
        return (*(kind for kind, name in named if able.get(name) is True), "text")
    return ("image", "text") if isinstance(able, list) and "multimodal" in able else ()


def _created(entry: dict[str, Any]) -> int:
    created = entry.get("created")
    return created if isinstance(created, int) else 0


def _pricing(entry: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The prices as listed; billing interprets them."""
    pricing = entry.get("pricing")
    if not isinstance(pricing, dict):
        return ()
    prices = [(kind, text) for kind, text in pricing.items() if isinstance(text, str)]
    if prices and (overrides := pricing.get("overrides")):
        prices.append(("overrides", orjson.dumps(overrides).decode()))
    return tuple(prices)


def _ollama_details(model: Model, place: int) -> Model | None:
    """The model with Ollama's num_ctx as its window; None if it is not a chat model.

    Ollama silently truncates a longer prompt, even if the model could read it.
    """
    window = OLLAMA_CONTEXT_TOKENS
    shown: dict[str, Any] = {}
    if place < MAX_OLLAMA_DETAILS:
        try:
            url = f"{model.endpoint.root}/api/show"
            shown = fetch_json(url, model.endpoint, {"model": model.provider_name})
        except FetchError:
            shown = {}
        if "completion" not in shown.get("capabilities", ["completion"]):
            return None
        if match := re.search(r"num_ctx\s+(\d+)", str(shown.get("parameters", ""))):
            window = int(match[1])
    able = shown.get("capabilities", ())
    inputs = tuple(kind for kind, name in _OLLAMA_INPUTS if name in able) + ("text",)
    return replace(
        model,
        context_tokens=window,
        max_output_tokens=None,
        listed_inputs=inputs if "capabilities" in shown else (),
    )


def _inside(entry: dict[str, Any], group: str, name: str) -> object:
    inner = entry.get(group)
    return inner.get(name) if isinstance(inner, dict) else None
