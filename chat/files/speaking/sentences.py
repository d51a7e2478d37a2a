"""Splits an answer into the sentences that are read aloud, and says where each stands in it.

Code, tables and formulas that stand by themselves are left out. The page has rules of its own for
screen readers, which get the answer while it is written (static/js/chat/speech.js).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from chat.plain_text import plain_text

# A provider takes more, but the sound of a longer sentence could be too large to be read at once.
MAX_CHARS = 500
# A shorter beginning, such as the number of an item or "e.g.", is read with what follows.
SHORT_CHARS = 12
_END = re.compile(r"""[.!?…:][\"')\]»”*_]*(?=\s|$)|[。！？][」』”）]*""")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MATH = {"$$": "$$", "\\[": "\\]"}
_BULLET = re.compile(r"\s*[-*+] (?:\[[ xX]\] )?")
_MARKS = re.compile(r"\*\*|`|^\s*#{1,6} |(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")
_SPEAKABLE = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Sentence:
    """`start` and `end` count UTF-16 units of the answer, as JavaScript does."""

    start: int
    end: int
    words: str


def sentences_of(answer: str) -> list[Sentence]:
    found, units, counted = [], 0, 0
    for start, end in _places(answer):
        words = _words(answer[start:end])
        if not _SPEAKABLE.search(words):
            continue
        first = units + _utf16_length(answer[counted:start])
        units, counted = first + _utf16_length(answer[start:end]), end
        found.append(Sentence(first, units, words))
    return found


def _utf16_length(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _words(source: str) -> str:
    words = plain_text(_BULLET.sub("", source, count=1) if _BULLET.match(source) else source)
    return " ".join(_MARKS.sub("", words).split())


def _places(answer: str) -> Iterator[tuple[int, int]]:
    """Where the sentences begin and end, without the space around them."""
    for start, end in _lines_of_prose(answer):
        at = start
        for stop in [*_stops(answer, start, end), end]:
            first, last = _stripped(answer, at, stop)
            if last - first < SHORT_CHARS and stop < end:
                continue
            yield from _cut(answer, first, last)
            at = stop


def _stops(answer: str, start: int, end: int) -> Iterator[int]:
    for match in _END.finditer(answer, start, end):
        yield match.end()


def _stripped(answer: str, start: int, end: int) -> tuple[int, int]:
    text = answer[start:end]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())


def _cut(answer: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A long sentence in pieces, at spaces where there are some."""
    while end - start > MAX_CHARS:
        space = answer.rfind(" ", start + MAX_CHARS // 2, start + MAX_CHARS)
        stop = space if space > 0 else start + MAX_CHARS
        yield _stripped(answer, start, stop)
        start = stop
    first, last = _stripped(answer, start, end)
    if first < last:
        yield first, last


def _lines_of_prose(answer: str) -> Iterator[tuple[int, int]]:
    """The lines that are neither code nor tables nor formulas."""
    end, fence, math = -1, "", ""
    while end < len(answer):
        start, end = end + 1, answer.find("\n", end + 1)
        end = len(answer) if end < 0 else end
        line = answer[start:end]
        mark = _FENCE.match(line)
        stripped = line.strip()
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif math:
            math = "" if stripped.endswith(math) or not stripped else math
        elif mark:
            fence = mark[1]
        elif closing := _MATH.get(stripped[:2]):
            math = "" if stripped[2:].endswith(closing) else closing
        elif not stripped.startswith("|"):
            yield start, end
