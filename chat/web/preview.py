"""The last messages of a chat, rendered into its page, so that they can be read before a script has
run and before the log is replayed, however long the chat is.

The messages are folded from the end of the chat's index. If the folded path does not end with the
last shown message (another branch is shown, or the last messages exceed the limits), there is no
preview and the page waits for the replay.
"""

import uuid
from collections.abc import Iterable
from dataclasses import replace
from itertools import takewhile
from typing import Any

from chat import events as ev
from chat.plain_text import plain_text
from chat.transcript import Message, Transcript, fold
from streams.log import Entry, get_log

# A question with its answer takes four entries.
MOST_ENTRIES, MOST_BYTES = 24, 128_000
# The limit of all texts together, to keep the page small. A browser's copy of a chat starts with
# the same amount (static/js/chat/local/blocks.js).
MOST_CHARS = 16_000
ANSWERING = "queued", "running"


async def last_messages(
    stream: str, chat_id: uuid.UUID, tip_id: uuid.UUID | None
) -> list[dict[str, Any]]:
    """The messages as `Message.to_dict`, oldest first, without an answer that is being written."""
    if tip_id is None:
        return []
    last = await get_log().read_last(stream, str(chat_id), MOST_ENTRIES, MOST_BYTES)
    path = _end_of_path(last)
    if not path or path[-1].id != str(tip_id):
        return []
    ended = takewhile(lambda message: message.status not in ANSWERING, path)
    return [message.to_dict() for message in _truncate(list(ended))]


def to_plain_text(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The messages as {role, text} without markup, for rendering without a script."""
    return [{"role": m["role"], "text": plain_text(_with_names(m))} for m in messages]


def _with_names(message: dict[str, Any]) -> str:
    """The text of a message, below the names of its files."""
    names = [file["name"] for file in message["files"] or ()]
    return "\n\n".join(part for part in (", ".join(names), message["text"]) if part)


def _end_of_path(entries: Iterable[Entry]) -> list[Message]:
    state = Transcript()
    for entry in entries:
        event = ev.parse(entry.data)
        if isinstance(event, ev.MessageCreated) and not state.messages:
            event = replace(event, parent=None)  # Earlier messages were not read.
        if event is not None:
            fold(state, event, entry.id)
    return [] if state.deleted else state.path()


def _truncate(messages: list[Message]) -> list[Message]:
    chars, start = 0, len(messages)
    while start > 0:
        message = messages[start - 1]
        chars += len(str(message.text)) + len(str(message.reasoning))
        if chars > MOST_CHARS:
            break
        start -= 1
    return messages[start:]
