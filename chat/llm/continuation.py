"""Continues an interrupted answer without losing or repeating a character.

In "prefill" mode the partial answer is the last message, and the model continues it. Some servers
(llama.cpp) first send that message back; most do not. Some refuse white space at its end, so it is
not sent, and is trimmed if the model writes it again. In "ask" mode the model is asked to continue,
and its repetition of the partial answer is trimmed. Text is held back only until that is decided.
"""

import re
from typing import Any

MIN_OVERLAP_CHARS = 8  # A shorter repetition may be intended: "ha ha".
MAX_OVERLAP_CHARS = 2000
CONTINUE = (
    "Continue exactly where your last message stopped, even in the middle of a word, a sentence or "
    "a code block. Do not repeat anything, do not comment, do not open a code block that is open "
    "already. Begin with the very next character."
)
_LAST_WORD = re.compile(r"(?<!\w)[^\W\d_]{2,}\Z")

Message = dict[str, Any]


def prefill_messages(messages: list[Message], partial: str) -> list[Message]:
    return [*messages, {"role": "assistant", "content": partial.rstrip()}]


def ask_messages(messages: list[Message], partial: str) -> list[Message]:
    return [
        *messages,
        {"role": "assistant", "content": partial.rstrip()},
        {"role": "user", "content": CONTINUE},
    ]


class _SpaceTrimmer:
    """Trims the white space at the end of the partial answer if the model writes it again.

    It is stored already but was not sent to the model.
    """

    def __init__(self, space: str) -> None:
        self._space = space
        self._at = 0  # characters of it that were received

    def feed(self, text: str) -> str:
        if self._at == len(self._space):
            return text
        size, most = 0, min(len(text), len(self._space) - self._at)
        while size < most and text[size] == self._space[self._at + size]:
            size += 1
        self._at = self._at + size if size == len(text) else len(self._space)
        return text[size:]


class PrefillSeam:
    """Trims the partial answer if the server sends it back first ("echo").

    `echoes` is True, False, or None if unknown. If unknown, text is held back while it equals the
    start of the partial answer. If it repeats all of it, it is an echo and is dropped. As soon as
    it differs, it is the continuation and all of it is kept. `echoed` is the result, None while
    undecided.
    """

    def __init__(self, partial: str, echoes: bool | None) -> None:
        sent = partial.rstrip()
        self._space = _SpaceTrimmer(partial[len(sent) :])
        self._echo = "" if echoes is False else sent
        self._at = 0  # characters of the echo that were received and are held back
        self.echoed: bool | None = echoes

    def feed(self, text: str) -> str:
        if self._echo:
            left = len(self._echo) - self._at
            if not self._echo.startswith(text[:left], self._at):
                text, self._echo, self.echoed = self._echo[: self._at] + text, "", False
            elif len(text) >= left:
                text, self._echo, self.echoed = text[left:], "", True
            else:
                self._at += len(text)
                return ""
        return self._space.feed(text)

    def flush(self) -> str:
        """The text still held back when the answer has ended. A known echo is never returned."""
        held = "" if self.echoed else self._echo[: self._at]
        self._echo = ""
        return self._space.feed(held)


class AskSeam:
    """Trims the overlap: the longest end of the partial answer that the new text starts with.

    An overlap has at least MIN_OVERLAP_CHARS, or is the last word, which models often write again
    when they were interrupted inside it.
    """

    echoed: bool | None = None

    def __init__(self, partial: str) -> None:
        sent = partial.rstrip()
        self._space = _SpaceTrimmer(partial[len(sent) :])
        self._tail = sent[-MAX_OVERLAP_CHARS:]
        word = None if partial != sent else _LAST_WORD.search(self._tail)
        self._word = word[0] if word else ""
        self._held = ""

    def feed(self, text: str) -> str:
        if self._tail:
            self._held += text
            if self._may_grow():
                return ""
            text = self._decide()
        return self._space.feed(text)

    def flush(self) -> str:
        return self._space.feed(self._decide()) if self._tail else ""

    def _may_grow(self) -> bool:
        """Whether the held text may become a longer overlap."""
        size, at = len(self._held), self._tail.find(self._held)
        overlap = len(self._tail) - at
        if at >= 0 and overlap > size and overlap >= MIN_OVERLAP_CHARS:
            return True
        return size < len(self._word) and self._word.startswith(self._held)

    def _decide(self) -> str:
        held, tail, word = self._held, self._tail, self._word
        self._held = self._tail = ""
        for size in range(min(len(held), len(tail)), MIN_OVERLAP_CHARS - 1, -1):
            if held.startswith(tail[-size:]):
                return held[size:]
        return held[len(word) :] if word and held.startswith(word) else held
