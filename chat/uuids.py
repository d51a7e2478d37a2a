"""Reading the UUIDs of a request: in lower case with dashes, so that each has one spelling."""

import uuid

from chat.errors import BadRequest


def canonical_uuid(value: object) -> uuid.UUID | None:
    """None for anything else."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        found = uuid.UUID(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def read_uuid(value: object, name: str) -> uuid.UUID:
    """Raises BadRequest, which says what `name` must be."""
    found = canonical_uuid(value)
    if found is None:
        raise BadRequest(f"“{name}” must be a UUID in lower case.")
    return found
