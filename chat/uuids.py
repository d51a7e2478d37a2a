"""Parsing the UUIDs of a request: lower case with dashes only, so that each has one spelling."""

import uuid

from chat.errors import BadRequest


def canonical_uuid(value: object) -> uuid.UUID | None:
    """The UUID, or None if the value is anything else than its canonical text."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        return None
    return parsed if str(parsed) == value else None


def read_uuid(value: object, name: str) -> uuid.UUID:
    """Raises BadRequest, whose message has the `name` of the field."""
    parsed = canonical_uuid(value)
    if parsed is None:
        raise BadRequest(f"“{name}” must be a UUID in lower case.")
    return parsed
