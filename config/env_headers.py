"""Readers for header values and URLs.

A key with a character that no header can carry is refused at the start, with a sentence, rather
than when the first message is sent. White space around a value is removed, because files and copied
text have it. Error messages do not contain the value, which may be a secret.
"""

import re
import unicodedata
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env

from config.env import env_secret

ID = "config.E020"
_AROUND = " \t\r\n\f\v\u00a0\ufeff\u200b"


def env_key(env: Env, name: str) -> str:
    """A key: visible ASCII characters without spaces, from NAME or the file in NAME_FILE."""
    return header_value(name, env_secret(env, name), spaces=False)


def env_line(env: Env, name: str, default: str = "") -> str:
    """A line of ASCII characters that may have spaces, such as an id."""
    return header_value(name, env.str(name, "")) or default


def env_secret_line(env: Env, name: str) -> str:
    return header_value(name, env_secret(env, name))


def header_value(name: str, value: str, *, spaces: bool = True) -> str:
    """The value without white space around it. Raises ImproperlyConfigured."""
    value = value.strip(_AROUND)
    wrong = re.search(r"[^ -~]" if spaces else r"[^!-~]", value)
    if wrong is None:
        return value
    raise ImproperlyConfigured(
        f"{name} has {_named(wrong[0])} at place {wrong.start() + 1}, which cannot be sent. "
        f"Copy it again: all of it, on one line, and nothing else. ({ID})"
    )


def _named(character: str) -> str:
    if character in "\r\n":
        return "a line break"
    if character.isspace():
        return "white space"
    name = unicodedata.name(character, "a control character").lower()
    return f"a character that no key has (U+{ord(character):04X}, {name})"


def env_url(env: Env, name: str, default: str = "") -> str:
    """The address of an API, without a slash at its end. Raises ImproperlyConfigured."""
    url = env.str(name, "").strip(_AROUND).rstrip("/")
    if not url:
        return default
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"[!-~]+", url) or re.search(r"[?#\\<>\"]", url):
        raise ImproperlyConfigured(
            f"{name} must be an address such as https://llm.example.org/v1: http or https, a host, "
            f"plain ASCII without spaces, nothing after the path. ({ID})"
        )
    return url
