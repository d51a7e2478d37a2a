"""A request to send a message."""

import uuid
from dataclasses import dataclass

from chat.files.attaching import Attached


@dataclass(frozen=True, slots=True)
class Send:
    """A user's message to `chat`, to be answered by `model`.

    `parent` is the last message that the browser shows (None in an empty chat). With `edit` the
    message goes below exactly that parent, as a sibling. Without, a message whose parent was
    continued from another tab goes to the end of that path, so two tabs never fork by accident.
    `temporary`: if the message begins the chat, it is a temporary one. `project`: if the message
    begins the chat, it begins in this project. `files`: what is attached.
    """

    id: uuid.UUID
    chat: uuid.UUID
    text: str
    model: str
    parent: uuid.UUID | None
    edit: bool = False
    temporary: bool = False
    project: uuid.UUID | None = None
    files: tuple[Attached, ...] = ()
