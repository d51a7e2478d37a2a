"""Validation of the commands that a client sends over the WebSocket."""

from typing import Any

import orjson

from chat.uuids import canonical_uuid
from streams.cursors import is_cursor

MAX_COMMAND_BYTES = 4_096


def parse_command(text: str | None) -> dict[str, Any] | None:
    """The command, or None if it is incomplete or has fields of the wrong type."""
    if text is None or len(text) > MAX_COMMAND_BYTES:
        return None
    try:
        command = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(command, dict):
        return None
    match command.get("type"):
        case "ping" | "pong" | "unfollow":
            return command
        case "ack":
            return command if _is_count(command.get("bytes")) else None
        case "watch":
            after = command.get("after")
            return command if is_cursor(after) else None
        case "follow":
            after = command.get("after")
            is_valid = canonical_uuid(command.get("chat")) is not None and (
                after is None or is_cursor(after)
            )
            return command if is_valid else None
        case _:
            return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
