"""The last messages of a chat, put on its page: they are there to be read before a script has run
and before the log was replayed, however long the chat is.

They are the end of the chat's index, folded. Where that does not lead to the message that is shown
last (another branch is shown, or what was said last is longer than is looked at), there are none,
and the page waits for the replay as it does for everything else.
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

# A question with its answer is four.
MOST_ENTRIES, MOST_BYTES = 24, 128_000
# Of all texts together: the page itself is not to become long. What a browser keeps of a chat
# begins with as much (static/js/chat/local/blocks.js).
MOST_CHARS = 16_000
ANSWERING = "queued", "running"


async def last_messages(
    stream: str, chat_id: uuid.UUID, tip_id: uuid.UUID | None
) -> list[dict[str, Any]]:
    """As `Message.to_dict` has them, oldest first; none of an answer that is being written."""
    if tip_id is None:
        return []
    last = await get_log().read_last(stream, str(chat_id), MOST_ENTRIES, MOST_BYTES)
    path = _end_of_path(last)
    if not path or path[-1].id != str(tip_id):
        return []
    ended = takewhile(lambda message: message.status not in ANSWERING, path)
    return [message.to_dict() for message in _of_bounded_length(list(ended))]


def as_plain_text(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What is painted without a script: {role, text}, without the markup."""
    return [{"role": m["role"], "text": plain_text(m["text"])} for m in messages]


def _end_of_path(entries: Iterable[Entry]) -> list[Message]:
    state = Transcript()
    for entry in entries:
        event = ev.parse(entry.data)
        if isinstance(event, ev.MessageCreated) and not state.messages:
            event = replace(event, parent=None)  # What is above it is not looked at.
        if event is not None:
            fold(state, event, entry.id)
    return [] if state.deleted else state.path()


def _of_bounded_length(messages: list[Message]) -> list[Message]:
    chars, start = 0, len(messages)
    while start > 0:
        message = messages[start - 1]
        chars += len(str(message.text)) + len(str(message.reasoning))
        if chars > MOST_CHARS:
            break
        start -= 1
    return messages[start:]
