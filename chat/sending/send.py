"""A message that a person sends, as it is asked for."""

import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Send:
    """A user's message to `chat` with the answer wanted from `model`.

    `parent` is the last message the browser shows (None in an empty chat). With `edit` the message
    becomes a sibling: `parent` is taken as it is. Without, a send whose parent has already been
    answered elsewhere goes to the end of that path, so two tabs never fork by accident.
    """

    id: uuid.UUID
    chat: uuid.UUID
    text: str
    model: str
    parent: uuid.UUID | None
    edit: bool = False
