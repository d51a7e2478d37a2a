"""What the configuration as a whole must have.

config.E001  no model is configured, and the embedded one is switched off
config.W001  DEBUG is on while others can reach this machine
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_model(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    from chat.endpoints import configured

    if settings.EMBEDDED_MODEL or configured():
        return []
    hint = (
        "Set OPENAI_API_KEY, OPENAI_BASE_URL, OPENROUTER_API_KEY or OLLAMA_HOST, or leave "
        "HOLDFAST_EMBEDDED_MODEL at auto."
    )
    return [Error("No usable model is configured.", hint=hint, id="config.E001")]


def check_debug(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    if not settings.DEBUG or settings.HOST in LOOPBACK:
        return []
    hint = "Error pages then show the settings to everybody: unset DEBUG."
    return [Warning("DEBUG is on, and others can reach this.", hint=hint, id="config.W001")]
