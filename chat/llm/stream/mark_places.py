"""Finds where in a text a thinking mark is: a mark in code or in a quote is only mentioned."""

import re

from chat.llm.stream.think_marks import Pattern

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
_OPEN_QUOTE = re.compile(r"(?:^|[\s(])[\"'(\[]$|[“‘«(\[]$")
# The start of a list item, a backslash, the start of a table cell.
_NAMED = re.compile(r"^\s*(?:[-*+>]|\d{1,3}[.)])\s+$|\\$|^\s*\|(?:.*\|)?\s+$")
_SENTENCE_ENDS = frozenset(".!?:;…。！？：；)]}”’»\"'*_>|`")
# The middle of a longer line is dropped, but its quotes stay counted.
MAX_LINE_CHARS = 8_192
_KEPT_CHARS = 2_048
MAX_WAITING_CHARS = 16_384


class ScannedText:
    """A growing text that knows the place of its end, and which of `openings` it contains.

    Each character is read once and then dropped, except for those of the last line. So the total
    work is linear in the text, however often `place` is called.
    """

    def __init__(self, text: str = "", openings: Pattern | None = None) -> None:
        self._openings = openings
        self._seen: set[str] = set()  # openings in the text, in lower case
        self._waiting: list[str] = []  # not read yet
        self._waiting_chars = 0
        self._line = ""  # the last line, without its dropped middle
        self._is_odd = {"`": False, "**": False}  # whether the dropped middle has an odd number
        self._fence = ""  # the fence of the code block that is open before the line
        self._edge = ""  # the end of the text, where an opening may have begun
        self._has_text = False
        if text:
            self.add(text)

    def add(self, text: str) -> None:
        self._waiting.append(text)
        self._waiting_chars += len(text)
        if self._waiting_chars > MAX_WAITING_CHARS:
            self._read()

    @property
    def has_text(self) -> bool:
        """Whether the text has more than white space."""
        self._read()
        return self._has_text

    def holds(self, opening: str) -> bool:
        self._read()
        return opening.lower() in self._seen

    def place(self) -> str:
        """The place of a mark at the end of the text: "code" (or a quote), "edge" (the start of a
        line or the end of a sentence), "glued" (to a word) or "within" (a sentence)."""
        self._read()
        line = self._line
        is_odd = {mark: odd ^ bool(line.count(mark) % 2) for mark, odd in self._is_odd.items()}
        if is_odd["`"] or _OPEN_QUOTE.search(line) or _NAMED.search(line):
            return "code"
        if (line.endswith("**") and is_odd["**"]) or _fence_after(self._fence, line):
            return "code"
        last = line.rstrip()[-1:]
        if not last or last in _SENTENCE_ENDS:
            return "edge"
        return "within" if line[-1].isspace() else "glued"

    # Private

    def _read(self) -> None:
        if not self._waiting:
            return
        text = "".join(self._waiting)
        self._waiting.clear()
        self._waiting_chars = 0
        self._has_text = self._has_text or bool(text.strip())
        self._note_openings(text)
        lines, end, rest = text.rpartition("\n")
        if end:
            self._fence = _fence_after(self._fence, self._line + lines)
            self._line, self._is_odd = rest, dict.fromkeys(self._is_odd, False)
        else:
            self._line += rest
        if len(self._line) > MAX_LINE_CHARS:
            self._drop_middle()

    def _note_openings(self, text: str) -> None:
        if self._openings is None:
            return
        text = self._edge + text
        self._seen |= {found[0].lower() for found in self._openings.find_all(text)}
        self._edge = text[1 - self._openings.longest :] if self._openings.longest > 1 else ""

    def _drop_middle(self) -> None:
        """Drops the middle of the line, without splitting a "**"."""
        line, end = self._line, len(self._line) - _KEPT_CHARS
        while end > _KEPT_CHARS and line[end - 1 : end + 1] == "**":
            end -= 1
        middle = line[_KEPT_CHARS:end]
        for mark in self._is_odd:
            self._is_odd[mark] ^= bool(middle.count(mark) % 2)
        self._line = line[:_KEPT_CHARS] + line[end:]


def _fence_after(fence: str, text: str) -> str:
    """The fence of the code block that is open after these lines; empty if none is."""
    for found in _FENCE.finditer(text):
        mark, rest = found[1], found[2]
        if not fence:
            fence = mark
        elif mark[0] == fence[0] and len(mark) >= len(fence) and not rest.strip():
            fence = ""
    return fence
