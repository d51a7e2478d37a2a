"""The history of one chat: what the prompts of its answers are made of, folded from the log.

It has the role, parent and text of each message, as the transcript has them (chat/transcript.py). A
property test compares the two. A worker keeps histories from one answer to the next (histories.py).
"""

import sys
from dataclasses import dataclass
from typing import Any

from chat import events as ev
from chat.folding import AnswerFold
from chat.llm.prompt import PromptMessage
from chat.transcript import Pieces
from streams.cursors import START, before, is_after, order
from streams.log import Entry

# The events that change a history.
FOLDED = frozenset(
    kind.type
    for kind in (
        ev.ChatInstructed,
        ev.MessageCreated,
        ev.MessageDelta,
        ev.MessageReasoning,
        ev.MessageImage,
        ev.MessageCompleted,
        ev.MessageError,
    )
)
# Roughly the memory of a message besides its text: three ids, two objects, a place in a dict.
MESSAGE_BYTES = 560
PIECE_BYTES = 8
FILE_BYTES = 1_500


class LogChangedError(Exception):
    """The log no longer has the last entry of the history: it was erased, or restored to an earlier
    state."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the prompt of one reply is made of: the messages from the first one to the one that it
    answers, and the owner's instructions for this chat. Later entries of the log do not change it.
    """

    messages: tuple[PromptMessage, ...] = ()
    instructions: str = ""


@dataclass(slots=True)
class _Row:
    """`created`: the entry that created the message."""

    created: str
    parent: str | None
    message: PromptMessage


class History:
    """Folded up to the entry `cursor`. `size_bytes`: roughly the memory that it takes."""

    def __init__(self) -> None:
        self.instructions = ""
        self.cursor = START
        self._rows: dict[str, _Row] = {}
        # The texts that are being written, whose rows are out of date.
        self._growing: dict[str, Pieces] = {}
        self._bytes = 0
        self._last: Entry | None = None
        # Hash of the data of the entry `cursor`, and whether the log was found to have that entry.
        self._last_hash = 0
        self._is_confirmed = True

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._rows

    @property
    def size_bytes(self) -> int:
        growing = sum(
            _text_bytes(part) + PIECE_BYTES
            for pieces in self._growing.values()
            for part in pieces.parts
        )
        return self._bytes + growing

    # Reading on

    def resume(self, reply_id: str) -> str:
        """The cursor from which the caller must read the chat and `add` every entry.

        It is before the entry `cursor`, so that this entry is read again and compared, and before
        the reply, if the history has it: all entries of a reply are needed to write it.
        """
        self._is_confirmed = self.cursor == START
        if self._is_confirmed:
            return START
        row = self._rows.get(reply_id)
        first = min(self.cursor, row.created, key=order) if row else self.cursor
        return before(first)

    def add(self, entry: Entry, answer: AnswerFold) -> None:
        """Fold an entry into the history and into the reply. Raises LogChangedError."""
        if not self._is_confirmed:
            self._confirm(entry)
            answer.add(entry)
            return
        event = ev.parse(entry.data) if entry.type in FOLDED else None
        if event is not None:
            self._fold(event, entry.id)
        answer.add(entry, event)
        self.cursor = entry.id
        self._last = entry

    def end(self) -> None:
        """All entries of the chat have been added. Raises LogChangedError."""
        if not self._is_confirmed:
            raise LogChangedError
        if self._last is not None:
            self._last_hash, self._last = hash(self._last.data), None

    def _confirm(self, entry: Entry) -> None:
        """Check an entry that was folded before."""
        if is_after(entry.id, self.cursor):
            raise LogChangedError
        if entry.id == self.cursor:
            if hash(entry.data) != self._last_hash:
                raise LogChangedError
            self._is_confirmed = True

    # The fold

    def _fold(self, event: ev.AnyEvent, entry_id: str) -> None:
        match event:
            case ev.ChatInstructed():
                self._bytes += _text_bytes(event.instructions) - _text_bytes(self.instructions)
                self.instructions = event.instructions
            case ev.MessageCreated():
                self._create(event, entry_id)
            case ev.MessageDelta() if event.message in self._rows:
                self._pieces(event.message).add(event.text)
            case ev.MessageReasoning() if event.message in self._rows:
                if event.text_length is not None:
                    self._pieces(event.message).cut(event.text_length)
            case ev.MessageImage() if event.message in self._rows:
                self._add_picture(event)
            case ev.MessageCompleted() if event.message in self._rows:
                self._end(event.message, event.text)
            case ev.MessageError() if event.message in self._rows:
                self._end(event.message, event.text_kept)
            case _:
                pass

    def _create(self, event: ev.MessageCreated, entry_id: str) -> None:
        if event.message in self._rows:
            return
        if event.parent is not None and event.parent not in self._rows:
            return
        message = PromptMessage(event.role, event.text or "", _without_thumbs(event.files))
        self._rows[event.message] = _Row(entry_id, event.parent, message)
        files_bytes = len(message.files) * FILE_BYTES
        self._bytes += MESSAGE_BYTES + _text_bytes(message.text) + files_bytes

    def _add_picture(self, event: ev.MessageImage) -> None:
        row = self._rows[event.message]
        known = row.message.files
        if any(file["id"] == event.file["id"] for file in known):
            return
        files = (*known, *_without_thumbs([event.file]))
        row.message = PromptMessage(row.message.role, row.message.text, files)
        self._bytes += FILE_BYTES

    def _pieces(self, message_id: str) -> Pieces:
        pieces = self._growing.get(message_id)
        if pieces is None:
            pieces = self._growing[message_id] = Pieces()
            pieces.set(self._rows[message_id].message.text)
        return pieces

    def _end(self, message_id: str, text: str | None) -> None:
        if text is not None:
            self._growing.pop(message_id, None)
            self._set_text(message_id, text)

    def _set_text(self, message_id: str, text: str) -> None:
        row = self._rows[message_id]
        self._bytes += _text_bytes(text) - _text_bytes(row.message.text)
        # A new object: conversations have the one before.
        row.message = PromptMessage(row.message.role, text, row.message.files)

    # The result

    def conversation(self, message_id: str) -> Conversation:
        """The messages from the first one down to this one, which the history must have."""
        messages: list[PromptMessage] = []
        current: str | None = message_id
        while current:
            if (pieces := self._growing.get(current)) is not None:
                self._set_text(current, str(pieces))
            row = self._rows[current]
            messages.append(row.message)
            current = row.parent
        return Conversation(tuple(messages[::-1]), self.instructions)


def _without_thumbs(files: list[dict[str, Any]] | None) -> tuple[dict[str, Any], ...]:
    """What prompts need of attached files."""
    return tuple(
        {name: value for name, value in file.items() if name != "thumb"} for file in files or ()
    )


def _text_bytes(text: str) -> int:
    """The memory of a text. Once it was encoded, a text that is not ASCII keeps its UTF-8 too."""
    return sys.getsizeof(text) + (0 if text.isascii() else len(text.encode()) + 1)
