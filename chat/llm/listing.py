"""Reading what endpoints say of their models, over plain HTTP.

Web processes list models but never call one: this needs neither the `openai` library (40 MB of
memory) nor an event loop. Everything here blocks; the catalogue calls it from threads.
"""

import re
from typing import Any

import orjson

from accounts.provider_keys.address_filter import OutboundError
from accounts.provider_keys.http import fetch
from accounts.provider_keys.model_documents import listed_entries, read_document
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


class FetchError(Exception):
    """The endpoint could not be read; `status` when it answered at all."""

    def __init__(self, status: int | None = None, reason: str = "not reachable") -> None:
        super().__init__(f"status {status}" if status else reason)
        self.status = status


def fetch_json(
    url: str, endpoint: Endpoint, body: object = None, timeout_s: float = TIMEOUT_S
) -> Any:
    """The JSON document at `url`; POST when there is a body. Raises FetchError."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}", "Accept": "application/json"}
    data = None
    if body is not None:
        data = orjson.dumps(body)
        headers["Content-Type"] = "application/json"
    try:
        answer = fetch(
            url,
            headers=headers,
            body=data,
            timeout_s=timeout_s,
            guarded=endpoint.guarded,
            max_bytes=MAX_BYTES,
        )
        if answer.status >= 300:
            raise FetchError(answer.status)
        return read_document(answer.body)
    except ValueError as e:
        raise FetchError(reason="the answer is not JSON") from e
    except OutboundError as e:
        raise FetchError from e


def fetch_models(endpoint: Endpoint) -> list[Model]:
    """The chat models of an endpoint, in its order (OpenAI's own: newest first)."""
    entries = listed_entries(fetch_json(f"{endpoint.base_url}/models", endpoint))
    if entries is None:
        raise FetchError(reason="the answer is no list")
    if endpoint.base_url == OPENAI_URL:
        entries.sort(key=_created, reverse=True)
    models = models_of(endpoint, entries[:MAX_MODELS])
    if endpoint.name == "ollama":
        return [m for model in models if (m := _ollama_details(model, models.index(model)))]
    return models


def models_of(endpoint: Endpoint, entries: list[dict[str, Any]]) -> list[Model]:
    """The chat models among the entries of a list, each a dict with an `id`."""
    return [model for entry in entries if (model := _model(endpoint, entry))]


def model_named(endpoint: Endpoint, name: str, context_tokens: int | None = None) -> Model:
    """A model of which nothing but its name is known, unless somebody gave its window as well."""
    return Model(
        id=f"{endpoint.name}/{name}",
        name=pretty_name(name),
        endpoint=endpoint,
        context_tokens=context_tokens or _usual_window(endpoint, name),
        max_output_tokens=longest_answer(name),
        server="ollama" if endpoint.name == "ollama" else "",
    )


def count_templated(endpoint: Endpoint, messages: list[dict[str, str]]) -> int:
    """Exact tokens of a conversation, by llama.cpp's template and tokenizer."""
    try:
        text = fetch_json(f"{endpoint.root}/apply-template", endpoint, {"messages": messages})
        asked = {"content": text["prompt"], "add_special": True, "parse_special": True}
        return len(fetch_json(f"{endpoint.root}/tokenize", endpoint, asked)["tokens"])
    except (KeyError, TypeError) as e:
        raise FetchError from e


def _usual_window(endpoint: Endpoint, name: str) -> int:
    """Where the endpoint does not say."""
    if endpoint.name == "ollama":
        return OLLAMA_CONTEXT_TOKENS
    return usual_window(name, endpoint.base_url)


def _model(endpoint: Endpoint, entry: dict[str, Any]) -> Model | None:
    name = entry["id"]
    outputs = _inside(entry, "architecture", "output_modalities")
    is_wanted = is_chat_model(name) or entry.get("by_hand") is True
    if not is_wanted or (isinstance(outputs, list) and "text" not in outputs):
        return None
    found = (
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
    told = next((n for n in found if type(n) is int and n > 0), None)
    context = told or _usual_window(endpoint, name)
    return Model(
        id=f"{endpoint.name}/{name}",
        name=str(entry.get("name") or pretty_name(name))[:100],
        endpoint=endpoint,
        context_tokens=min(context, LOCAL_CONTEXT_TOKENS) if endpoint.name == "local" else context,
        max_output_tokens=output if isinstance(output, int) and output > 0 else None,
        server="ollama" if endpoint.name == "ollama" else server,
        pricing=_pricing(entry),
    )


def _created(entry: dict[str, Any]) -> int:
    created = entry.get("created")
    return created if isinstance(created, int) else 0


def _pricing(entry: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The plain prices; what is made of them is for billing to say."""
    pricing = entry.get("pricing")
    if not isinstance(pricing, dict):
        return ()
    said = [(kind, text) for kind, text in pricing.items() if isinstance(text, str)]
    if said and (overrides := pricing.get("overrides")):
        said.append(("overrides", orjson.dumps(overrides).decode()))
    return tuple(said)


def _ollama_details(model: Model, place: int) -> Model | None:
    """Ollama cuts a long prompt silently at num_ctx, whatever the model could take."""
    window = OLLAMA_CONTEXT_TOKENS
    if place < MAX_OLLAMA_DETAILS:
        try:
            url = f"{model.endpoint.root}/api/show"
            shown = fetch_json(url, model.endpoint, {"model": model.provider_name})
        except FetchError:
            shown = {}
        if "completion" not in shown.get("capabilities", ["completion"]):
            return None
        if found := re.search(r"num_ctx\s+(\d+)", str(shown.get("parameters", ""))):
            window = int(found[1])
    return Model(model.id, model.name, model.endpoint, window, None, "ollama")


def _inside(entry: dict[str, Any], group: str, name: str) -> object:
    inner = entry.get(group)
    return inner.get(name) if isinstance(inner, dict) else None
