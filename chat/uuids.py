"""Parsing the UUIDs of a request: lower case with dashes only, so that each has one spelling."""

import uuid

from chat.errors import BadRequest


def canonical_uuid(value: object) -> uuid.UUID | None:
    """The UUID, or None if the value is not the canonical text of one."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        return None
    return parsed if str(parsed) == value else None


def read_uuid(value: object, name: str) -> uuid.UUID:
    """The UUID in the field `name`. Raises BadRequest, whose message contains that name."""
    parsed = canonical_uuid(value)
    if parsed is None:
        raise BadRequest(f"“{name}” must be a UUID in lower case.")
    return parsed
