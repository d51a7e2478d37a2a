"""What the configuration as a whole must have.

The other checks are streams.* (streams/checks.py) and chat.E001 (chat/model_checks.py).

config.W001  DEBUG is on while others can reach this machine
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_debug(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    if not settings.DEBUG or settings.HOST in LOOPBACK:
        return []
    hint = "Error pages then show the settings to everybody: unset DEBUG."
    return [Warning("DEBUG is on, and others can reach this.", hint=hint, id="config.W001")]
