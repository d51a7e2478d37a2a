"""Reads the operator's file of tool servers."""

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

MAX_SERVERS = 50
_TEXTS = ("name", "url", "transport")
_ALL = frozenset({*_TEXTS, "headers", "command", "environment"})
TRANSPORTS = ("auto", "http", "sse")


def tool_servers(path: str) -> dict[str, dict[str, Any]]:
    """{id: server} of the JSON file `{"servers": {id: {...}}}`; {} without a path.

    A server has a `url` (with `headers` and a `transport`) or a `command`, which is a list (with
    an `environment`), and a `name`. Raises ImproperlyConfigured.
    """
    if not path:
        return {}
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise _wrong(f"{path} cannot be read as JSON: {type(error).__name__}") from error
    servers = content.get("servers") if isinstance(content, dict) else None
    if not isinstance(servers, dict) or len(servers) > MAX_SERVERS:
        raise _wrong(f'{path} must have an object "servers" of at most {MAX_SERVERS}')
    return {name: _checked(name, server) for name, server in servers.items()}


def _checked(name: str, server: Any) -> dict[str, Any]:
    if not isinstance(server, dict) or not name or len(name) > 40:
        raise _wrong(f"the server {name!r} must be an object with an id of 1 to 40 characters")
    if unknown := sorted(server.keys() - _ALL):
        raise _wrong(f"the server {name!r} has unknown fields: {', '.join(unknown)}")
    if ("url" in server) == ("command" in server):
        raise _wrong(f'the server {name!r} needs either a "url" or a "command"')
    if not all(isinstance(server.get(field, ""), str) for field in _TEXTS):
        raise _wrong(f"the server {name!r}: {', '.join(_TEXTS)} must be texts")
    if server.get("transport", "auto") not in TRANSPORTS:
        raise _wrong(f'the server {name!r}: "transport" must be one of {", ".join(TRANSPORTS)}')
    if "url" in server and not server["url"].startswith(("https://", "http://")):
        raise _wrong(f"the server {name!r}: its url must begin with https:// or http://")
    if "command" in server and not _is_command(server["command"]):
        raise _wrong(f'the server {name!r}: "command" must be a list of texts')
    for field in ("headers", "environment"):
        if not _are_texts(server.get(field, {})):
            raise _wrong(f"the server {name!r}: {field!r} must be an object of texts")
    return server


def _is_command(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, str) for part in value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _wrong(reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"HOLDFAST_TOOL_SERVERS: {reason}.")
