"""The text that was read from a document when it was checked."""

import uuid
from typing import Any

import orjson

from chat.files import objects


def pages_of(file_id: uuid.UUID) -> list[dict[str, Any]]:
    """[{"page": number, or None without pages; "text"}]. Raises FileNotFoundError. Sync."""
    pages: list[dict[str, Any]] = orjson.loads(objects.read_rendition(file_id, "text"))
    return pages
