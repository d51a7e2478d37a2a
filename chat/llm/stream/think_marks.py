"""The marks around thinking in the text of an answer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from django.conf import settings

# Models write them, or the templates of their servers.
KNOWN = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reason>", "</reason>"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
)
_FLAGS = re.IGNORECASE | re.ASCII


class Pattern:
    """Finds the first of several marks in a text, and the start of a mark at the text's end."""

    def __init__(self, marks: Sequence[str]) -> None:
        longest_first = sorted(marks, key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, longest_first)), _FLAGS)
        self.firsts = tuple({mark[0] for mark in marks})
        self._starts = frozenset(
            {mark[:size].lower() for mark in marks for size in range(1, len(mark))}
        )
        self.longest = max(map(len, marks))

    def search(self, text: str, at: int = 0) -> re.Match[str] | None:
        for first in self.firsts:
            if first in text:
                return self._found.search(text, at)
        return None

    def find_all(self, text: str) -> Iterator[re.Match[str]]:
        return self._found.finditer(text)

    def match(self, text: str, at: int = 0) -> re.Match[str] | None:
        return self._found.match(text, at)

    def held(self, text: str) -> int:
        """The number of characters at the end that may be the start of a mark."""
        for first in self.firsts:
            if first in text[-self.longest :]:
                break
        else:
            return 0
        for size in range(min(self.longest - 1, len(text)), 0, -1):
            if text[-size:].lower() in self._starts:
                return size
        return 0


@dataclass(frozen=True, slots=True)
class Marks:
    """Pairs of an opening and a closing mark. `begins`: the closing mark of a model whose template
    has the opening mark, so that every answer begins with thinking."""

    pairs: tuple[tuple[str, str], ...] = KNOWN
    begins: str = ""
    has_harmony: bool = True

    def close_of(self, opening: str) -> str:
        return next(close for mark, close in self.pairs if mark.lower() == opening.lower())

    def opening_of(self, close: str) -> str:
        """The opening mark of this closing mark; empty if it has none."""
        openings = (mark for mark, other in self.pairs if other.lower() == close.lower())
        return next(openings, "")


@lru_cache(maxsize=256)
def pattern(*marks: str) -> Pattern:
    return Pattern(marks)


def marks_for(model_id: str) -> Marks:
    """The marks of this model: those in HOLDFAST_THINK_MARKS, else all known ones."""
    given = [marks for glob, marks in settings.THINK_MARKS if fnmatchcase(model_id, glob)]
    if not given:
        return Marks()
    pairs = tuple((opening, close) for opening, close in given if opening)
    begins = next((close for opening, close in given if close and not opening), "")
    return Marks(pairs, begins, has_harmony=False)
