"""Where models are: the endpoints that the settings name, and what is known about each kind."""

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings

Means = Literal["prefill", "ask"]
OPENAI_URL = "https://api.openai.com/v1"
OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`continuation`: how its models go on with a partial answer. `echoes_prefill`: whether they
    send it back first (None: found out). `extra`: fields that a prefilled request needs besides.
    `optional`: nobody asked for it, so its absence is not worth a word. `named`: its models by
    HOLDFAST_MODELS, each with its window or None, which count in place of the list it gives.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    continuation: Means = "ask"
    echoes_prefill: bool | None = None
    optional: bool = False
    named: tuple[tuple[str, int | None], ...] = ()
    # Of a person's own key: whose it is, which provider's, what it is called, and whether the
    # address is the person's too.
    owner: str = ""
    own_provider: str = ""
    label: str = ""
    guarded: bool = False

    @property
    def provider(self) -> str:
        """Who is asked, where that changes how: "openai", "openrouter", "ollama", ..."""
        return self.own_provider or self.name

    @property
    def is_embedded(self) -> bool:
        """Started by us, together with whoever asks it."""
        return self.name == "local" and not self.owner

    @property
    def root(self) -> str:
        """The address without its /v1, where a server's own API is."""
        return self.base_url.removesuffix("/").removesuffix("/v1")


@dataclass(frozen=True, slots=True)
class Model:
    """`id` is "<endpoint>/<what the provider calls it>"; `name` is for people."""

    id: str
    name: str
    endpoint: Endpoint
    context_tokens: int
    max_output_tokens: int | None = None
    server: str = ""  # what serves it, where that matters: "llamacpp", "vllm", "ollama"
    # What the provider's list says it costs, as it says it: OpenRouter's `pricing`, whose
    # `overrides` are here as JSON.
    pricing: tuple[tuple[str, str], ...] = ()

    @property
    def provider_name(self) -> str:
        return self.id.partition("/")[2]

    @property
    def own_key(self) -> bool:
        """Called with the person's own key, who pays the provider for it."""
        return bool(self.endpoint.owner)

    @property
    def continuation(self) -> Means:
        if any(fnmatchcase(self.id, glob) for glob in settings.PREFILL_MODELS):
            return "prefill"
        return "prefill" if self.server else self.endpoint.continuation

    @property
    def echoes_prefill(self) -> bool | None:
        return {"llamacpp": True, "vllm": False}.get(self.server, self.endpoint.echoes_prefill)

    @property
    def prefill_extra(self) -> dict[str, bool]:
        """vLLM ends a last assistant turn and opens a new one unless told otherwise."""
        if self.server == "vllm":
            return {"continue_final_message": True, "add_generation_prompt": False}
        return {}

    def to_dict(self) -> dict[str, str | int | bool]:
        """What the page and the API show of it."""
        return {
            "id": self.id,
            "name": self.name,
            "context_tokens": self.context_tokens,
            "endpoint": self.endpoint.label or self.endpoint.name,
            "own_key": self.own_key,
        }


def configured() -> list[Endpoint]:
    """In the order in which a default model is looked for.

    Ollama on its usual port is looked for only when no other provider is named;
    OLLAMA_HOST=off leaves it out.
    """
    found = []
    url = settings.OPENAI_BASE_URL.rstrip("/")
    if settings.OPENAI_API_KEY or url != OPENAI_URL:
        found.append(Endpoint("openai", url, settings.OPENAI_API_KEY or "none"))
    if settings.OPENROUTER_API_KEY:
        url = settings.OPENROUTER_BASE_URL.rstrip("/")
        found.append(Endpoint("openrouter", url, settings.OPENROUTER_API_KEY))
    host = settings.OLLAMA_HOST.strip()
    if host != "off" and (host or not found):
        found.append(Endpoint("ollama", _ollama_url(host), "ollama", "prefill", optional=not host))
    if settings.EMBEDDED_MODEL_URL:
        url = settings.EMBEDDED_MODEL_URL.rstrip("/")
        key = settings.EMBEDDED_MODEL_KEY or "none"
        found.append(Endpoint("local", url, key, "prefill", echoes_prefill=True))
    return [replace(endpoint, named=_named(endpoint.name)) for endpoint in found]


def _named(endpoint_name: str) -> tuple[tuple[str, int | None], ...]:
    return tuple(settings.NAMED_MODELS.get(endpoint_name, ()))


def _ollama_url(host: str) -> str:
    """OLLAMA_HOST as Ollama itself reads it: a host, host:port or URL; 0.0.0.0 means this one."""
    parts = urlsplit(host if "://" in host else f"http://{host or '127.0.0.1'}")
    name = parts.hostname or "127.0.0.1"
    name = "127.0.0.1" if name in ("0.0.0.0", "::") else name  # noqa: S104
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}:{parts.port or OLLAMA_PORT}{parts.path.rstrip('/')}/v1"
