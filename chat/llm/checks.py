"""System check: at least one model must be usable."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from chat.llm.embedded import is_installed
from chat.llm.endpoints import configured_endpoints
from chat.llm.listing import FetchError, fetch_json

OLLAMA_PROBE_S = 1.0


@register("providers", deploy=True)
def check_usable_model(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """chat.E001: no endpoint is configured, none is found, and the embedded model is off or absent.

    It is a deployment check, so that it does not delay every command. `up`, `doctor` and the start
    of a worker call it explicitly.

    A configured endpoint counts even while it is down: `doctor` and the page report that, and it is
    no reason to refuse to start.
    """
    embedded = settings.EMBEDDED_MODEL
    if embedded and is_installed():
        return []
    for endpoint in configured_endpoints():
        if not endpoint.optional:
            return []
        try:
            if fetch_json(f"{endpoint.base_url}/models", endpoint, None, OLLAMA_PROBE_S).get(
                "data"
            ):
                return []
        except (FetchError, AttributeError):
            continue
    problem = "is not installed" if embedded else "is turned off"
    return [
        Error(
            f"No model is usable: no endpoint is configured, and the embedded model {problem}.",
            hint=(
                "Set OPENAI_API_KEY, OPENROUTER_API_KEY, OPENAI_BASE_URL or OLLAMA_HOST, "
                "or HOLDFAST_EMBEDDED_MODEL=True and run `python3 manage.py up`."
            ),
            id="chat.E001",
        )
    ]
