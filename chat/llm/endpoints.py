"""Endpoints and models, and the endpoints that the settings configure."""

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

from django.conf import settings

ContinuationMode = Literal["prefill", "ask"]
OPENAI_URL = "https://api.openai.com/v1"
OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a provider, with the key to call it.

    `continuation`: how its models continue a partial answer. `echoes_prefill`: whether they send it
    back first (None: unknown). `optional`: it was not configured, so its absence is not reported.
    `named`: its models in HOLDFAST_MODELS, each with its window or None; they replace its list.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    continuation: ContinuationMode = "ask"
    echoes_prefill: bool | None = None
    optional: bool = False
    named: tuple[tuple[str, int | None], ...] = ()
    # The following are set for a person's own key.
    owner: str = ""  # the person's id in hex
    own_provider: str = ""
    label: str = ""  # the key's name on the page
    guarded: bool = False  # The person entered the address, so it must be on the public internet.

    @property
    def provider(self) -> str:
        """The provider's name, by which requests differ: "openai", "openrouter", "ollama", ..."""
        return self.own_provider or self.name

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded model, which starts together with its callers."""
        return self.name == "local" and not self.owner

    @property
    def root(self) -> str:
        """The address without /v1, below which a server has its native API."""
        return self.base_url.removesuffix("/").removesuffix("/v1")


@dataclass(frozen=True, slots=True)
class Model:
    """`id` is "<endpoint>/<the provider's name for it>"; `name` is for people."""

    id: str
    name: str
    endpoint: Endpoint
    context_tokens: int
    max_output_tokens: int | None = None
    server: str = ""  # the server software, where requests differ: "llamacpp", "vllm", "ollama"
    # The prices in the provider's list, unchanged: OpenRouter's `pricing`, its `overrides` as JSON.
    pricing: tuple[tuple[str, str], ...] = ()
    # What it reads, as the provider lists it: "text", "image", "audio", ...; empty if the list does
    # not say.
    listed_inputs: tuple[str, ...] = ()
    listed_outputs: tuple[str, ...] = ()  # what it makes, likewise

    @property
    def sees(self) -> bool:
        """Whether pictures can be sent to it. Unknown counts as no: an unwanted picture makes many
        servers refuse the whole request."""
        return self._reads("image", settings.VISION_MODELS)

    @property
    def hears(self) -> bool:
        """Likewise sound."""
        return self._reads("audio", settings.HEARING_MODELS)

    def _reads(self, kind: str, globs: list[str]) -> bool:
        if self.listed_inputs:
            return kind in self.listed_inputs
        return (kind == "image" and self.uses_images_api) or self._matches(globs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it makes, as `modalities` of a request: "image" before "text" before "audio"."""
        if self.listed_outputs:
            return tuple(kind for kind in ("image", "text", "audio") if kind in self.listed_outputs)
        if self.uses_images_api:
            return ("image",)
        drawn = ("image",) if self._matches(settings.PICTURE_MODELS) else ()
        spoken = ("audio",) if self._matches(settings.SPEAKING_MODELS) else ()
        return (*drawn, "text", *spoken)

    @property
    def makes_pictures(self) -> bool:
        return "image" in self.outputs

    @property
    def speaks(self) -> bool:
        """Whether it makes sound of what it writes."""
        return "audio" in self.outputs and self.writes

    @property
    def writes(self) -> bool:
        return "text" in self.outputs

    @property
    def uses_images_api(self) -> bool:
        """Whether it is called by `/images/generations`, because it has no chat completions."""
        if self.listed_outputs or not self._matches(settings.IMAGES_API_MODELS):
            return False
        return self.endpoint.provider != "openrouter"  # It has chats with all of its models.

    def _matches(self, globs: list[str]) -> bool:
        """Whether a pattern matches its name or its id. None concerns the embedded model."""
        name = self.provider_name.rpartition("/")[2].lower()
        is_named = any(fnmatchcase(name, glob) or fnmatchcase(self.id, glob) for glob in globs)
        return is_named and not self.endpoint.is_embedded

    @property
    def inputs(self) -> tuple[str, ...]:
        """What can be sent to it."""
        kinds = (("image", self.sees), ("audio", self.hears))
        return ("text", *(kind for kind, is_read in kinds if is_read))

    def without_input(self, kind: str) -> "Model":
        return replace(self, listed_inputs=tuple(each for each in self.inputs if each != kind))

    def without_speech(self) -> "Model":
        return replace(self, listed_outputs=tuple(each for each in self.outputs if each != "audio"))

    @property
    def provider_name(self) -> str:
        return self.id.partition("/")[2]

    @property
    def own_key(self) -> bool:
        """Whether it is called with the person's own key, so that they pay the provider."""
        return bool(self.endpoint.owner)

    @property
    def continuation(self) -> ContinuationMode:
        if any(fnmatchcase(self.id, glob) for glob in settings.PREFILL_MODELS):
            return "prefill"
        return "prefill" if self.server else self.endpoint.continuation

    @property
    def echoes_prefill(self) -> bool | None:
        return {"llamacpp": True, "vllm": False}.get(self.server, self.endpoint.echoes_prefill)

    @property
    def prefill_extra(self) -> dict[str, bool]:
        """Fields that a prefilled request needs. By default vLLM would end the last assistant
        message and begin a new one."""
        if self.server == "vllm":
            return {"continue_final_message": True, "add_generation_prompt": False}
        return {}

    def to_dict(self) -> dict[str, Any]:
        """The fields that the page and the API show."""
        inputs = list(self.inputs)
        kinds: dict[str, Any] = {"inputs": inputs} if len(inputs) > 1 else {}
        if self.makes_pictures or self.speaks:
            kinds["outputs"] = [kind for kind in ("text", "image", "audio") if kind in self.outputs]
        return kinds | {
            "id": self.id,
            "name": self.name,
            "context_tokens": self.context_tokens,
            "endpoint": self.endpoint.label or self.endpoint.name,
            "own_key": self.own_key,
        }


def configured_endpoints() -> list[Endpoint]:
    """The endpoints of the settings, in the order in which the default model is chosen.

    Ollama on its default port is included only if no other provider is configured, and never with
    OLLAMA_HOST=off.
    """
    endpoints = []
    url = settings.OPENAI_BASE_URL.rstrip("/")
    if settings.OPENAI_API_KEY or url != OPENAI_URL:
        endpoints.append(Endpoint("openai", url, settings.OPENAI_API_KEY or "none"))
    if settings.OPENROUTER_API_KEY:
        url = settings.OPENROUTER_BASE_URL.rstrip("/")
        endpoints.append(Endpoint("openrouter", url, settings.OPENROUTER_API_KEY))
    host = settings.OLLAMA_HOST.strip()
    if host != "off" and (host or not endpoints):
        is_optional = not host
        ollama = Endpoint("ollama", _ollama_url(host), "ollama", "prefill", optional=is_optional)
        endpoints.append(ollama)
    if settings.EMBEDDED_MODEL_URL:
        url = settings.EMBEDDED_MODEL_URL.rstrip("/")
        key = settings.EMBEDDED_MODEL_KEY or "none"
        endpoints.append(Endpoint("local", url, key, "prefill", echoes_prefill=True))
    return [replace(endpoint, named=_named_models(endpoint.name)) for endpoint in endpoints]


def _named_models(endpoint_name: str) -> tuple[tuple[str, int | None], ...]:
    return tuple(settings.NAMED_MODELS.get(endpoint_name, ()))


def _ollama_url(host: str) -> str:
    """Reads OLLAMA_HOST as Ollama does: a host, host:port or URL; 0.0.0.0 means this machine."""
    parts = urlsplit(host if "://" in host else f"http://{host or '127.0.0.1'}")
    name = parts.hostname or "127.0.0.1"
    name = "127.0.0.1" if name in ("0.0.0.0", "::") else name  # noqa: S104
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}:{parts.port or OLLAMA_PORT}{parts.path.rstrip('/')}/v1"
