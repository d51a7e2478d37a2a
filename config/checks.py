"""System checks of the configuration as a whole.

The other checks are streams.* (streams/server/checks.py), accounts.*
(accounts/provider_keys/checks.py) and chat.E001 (chat/llm/checks.py).

config.W001  DEBUG is on while others can reach this machine
config.E001  DEBUG is on behind an https address
config.E002  SECRET_KEY could be guessed
config.E003  HOLDFAST_URL is https, but no proxy is trusted that could terminate it
config.E004  every host name is accepted
config.E005  pages of every origin, or of one without https, may send commands
config.E006  every address is trusted as a proxy
config.E020  a key, an id or an address has characters that cannot be sent. The settings raise it
             (config/env_headers.py), so no command starts.
config.W002  HOLDFAST_URL is not https

The errors concern a site that others use (HOLDFAST_URL). `up`, `web` and `work` do not start with
one.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.management.base import SystemCheckError

MIN_SECRET_CHARS = 50
MIN_SECRET_UNIQUE = 5
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_debug(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    if not settings.DEBUG or settings.HOST in LOOPBACK:
        return []
    hint = "Error pages then show the settings to everybody: unset DEBUG."
    return [Warning("DEBUG is on, and others can reach this.", hint=hint, id="config.W001")]


def check_door(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Settings that would make a public site insecure."""
    checks = (_debug, _secret_key, _tls, _hosts, _origins, _proxies, _plain)
    return [message for check in checks for message in check()]


def ensure_safe_door() -> None:
    """Raises SystemCheckError with all errors, each with its hint and id."""
    errors = [message for message in check_door(None) if message.is_serious()]
    if errors:
        lines = [f"{error.msg} {error.hint} ({error.id})" for error in errors]
        raise SystemCheckError("\n".join(lines))


def _debug() -> list[CheckMessage]:
    if not (settings.HTTPS and settings.DEBUG):
        return []
    hint = "Error pages then show the settings to everybody: unset DEBUG."
    return [Error("DEBUG is on behind an https HOLDFAST_URL.", hint=hint, id="config.E001")]


def _secret_key() -> list[CheckMessage]:
    key = settings.SECRET_KEY
    if len(key) >= MIN_SECRET_CHARS and len(set(key)) >= MIN_SECRET_UNIQUE:
        return []
    hint = (
        f"Anybody who guesses it can sign in as anybody. Set at least {MIN_SECRET_CHARS} random "
        "characters, or unset it: a key is then generated and kept in the data folder."
    )
    return [Error("SECRET_KEY is too short or too simple.", hint=hint, id="config.E002")]


def _tls() -> list[CheckMessage]:
    if not settings.HTTPS or settings.TRUST_PROXY:
        return []
    hint = (
        "Holdfast speaks http; a proxy before it terminates https and sends X-Forwarded-Proto. "
        "Set HOLDFAST_TRUST_PROXY=True, or every page redirects to itself for ever."
    )
    return [Error("HOLDFAST_URL is https, but no proxy is trusted.", hint=hint, id="config.E003")]


def _hosts() -> list[CheckMessage]:
    if not settings.URL or "*" not in settings.ALLOWED_HOSTS:
        return []
    hint = "Links in mails could then lead to any host: list the names that you use."
    return [Error("ALLOWED_HOSTS accepts every name.", hint=hint, id="config.E004")]


def _origins() -> list[CheckMessage]:
    wrong = [
        origin
        for origin in settings.CSRF_TRUSTED_ORIGINS
        if origin.endswith(("://*", "://*.")) or (settings.HTTPS and origin.startswith("http:"))
    ]
    if not settings.URL or not wrong:
        return []
    hint = "Their pages may send commands on behalf of their visitors: list https origins only."
    message = f"CSRF_TRUSTED_ORIGINS has {', '.join(wrong)}."
    return [Error(message, hint=hint, id="config.E005")]


def _proxies() -> list[CheckMessage]:
    trusted = settings.TRUSTED_PROXIES
    everyone = trusted == 0 if isinstance(trusted, int) else any(n.prefixlen == 0 for n in trusted)
    if not settings.TRUST_PROXY or not everyone:
        return []
    hint = (
        "Set the number of proxies in front of Holdfast (1 or more), or their networks: "
        "a trusted proxy may claim any client address."
    )
    message = "HOLDFAST_TRUSTED_PROXIES does not say which proxies to trust."
    return [Error(message, hint=hint, id="config.E006")]


def _plain() -> list[CheckMessage]:
    if not settings.URL or settings.HTTPS or settings.URL_HOST in LOOPBACK:
        return []
    hint = "Passwords and chats then cross the network unencrypted: use a proxy with https."
    return [Warning("HOLDFAST_URL is not https.", hint=hint, id="config.W002")]
