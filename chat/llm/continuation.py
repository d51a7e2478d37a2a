"""Going on with an answer that was broken off, without losing or doubling a character.

By prefill the partial answer is the last turn and the model goes on writing it. Some servers send
that turn back first (llama.cpp), most do not, and a trailing white space is refused by some, so it
is left out and trimmed when the model writes it again. Elsewhere the model is asked to go on, and
whatever it repeats of the seam is trimmed. Text is held back only until that is decided.
"""

import re

MIN_OVERLAP_CHARS = 8  # a shorter repetition may be meant: "ha ha"
MAX_OVERLAP_CHARS = 2000
CONTINUE = (
    "Continue exactly where your last message stopped, even in the middle of a word, a sentence or "
    "a code block. Do not repeat anything, do not comment, do not open a code block that is open "
    "already. Begin with the very next character."
)
_LAST_WORD = re.compile(r"(?<!\w)[^\W\d_]{2,}\Z")

Turn = dict[str, str]


def prefill_turns(turns: list[Turn], partial: str) -> list[Turn]:
    return [*turns, {"role": "assistant", "content": partial.rstrip()}]


def ask_turns(turns: list[Turn], partial: str) -> list[Turn]:
    return [
        *turns,
        {"role": "assistant", "content": partial.rstrip()},
        {"role": "user", "content": CONTINUE},
    ]


class _Space:
    """Trims white space that is stored already, was not sent, and so is written once more."""

    def __init__(self, space: str) -> None:
        self._space = space
        self._at = 0  # so much of it has come

    def feed(self, text: str) -> str:
        if self._at == len(self._space):
            return text
        size, most = 0, min(len(text), len(self._space) - self._at)
        while size < most and text[size] == self._space[self._at + size]:
            size += 1
        self._at = self._at + size if size == len(text) else len(self._space)
        return text[size:]


class PrefillSeam:
    """Trims the sent-back partial answer (`echoes`: True, False, or None to find out).

    Unknown: what comes is held while it repeats the partial from its start. Repeated in full, it
    was an echo and goes; the moment it differs it was the continuation and all of it is kept.
    `echoed` tells what was found, None while open.
    """

    def __init__(self, partial: str, echoes: bool | None) -> None:
        sent = partial.rstrip()
        self._space = _Space(partial[len(sent) :])
        self._echo = "" if echoes is False else sent
        self._at = 0  # so much of the echo has come, and is held
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
        """What is still held when the answer has ended well; a known echo is never given out."""
        held = "" if self.echoed else self._echo[: self._at]
        self._echo = ""
        return self._space.feed(held)


class AskSeam:
    """Trims the overlap: the longest end of the partial that the new text starts with.

    At least MIN_OVERLAP_CHARS, or the whole last word, which a model likes to write again when it
    was broken off inside it.
    """

    echoed: bool | None = None

    def __init__(self, partial: str) -> None:
        sent = partial.rstrip()
        self._space = _Space(partial[len(sent) :])
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
        """Whether what is held is the beginning of a longer overlap that would count."""
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
