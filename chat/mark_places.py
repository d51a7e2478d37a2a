"""Where a mark of thinking stands in a text: in code or a quote it is spoken about."""

import re

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
_OPEN_QUOTE = re.compile(r"(?:^|[\s(])[\"'(\[]$|[“‘«(\[]$")
# The beginning of an item, an escape, a cell of a table.
_NAMED = re.compile(r"^\s*(?:[-*+>]|\d{1,3}[.)])\s+$|\\$|^\s*\|(?:.*\|)?\s+$")
_SENTENCE_ENDS = frozenset(".!?:;…。！？：；)]}”’»\"'*_>|`")


def place_of(said: str) -> str:
    """Where a mark after this text stands: in "code" or a quote, at the "edge" of a line or of a
    sentence, "glued" to a word, or "within" a sentence."""
    line = said.rpartition("\n")[2]
    if line.count("`") % 2 or _OPEN_QUOTE.search(line) or _NAMED.search(line):
        return "code"
    if (line.endswith("**") and line.count("**") % 2) or _is_in_fence(said):
        return "code"
    last = line.rstrip()[-1:]
    if not last or last in _SENTENCE_ENDS:
        return "edge"
    return "within" if line[-1].isspace() else "glued"


def _is_in_fence(text: str) -> bool:
    """Whether the end of a text is inside a block of code."""
    fence = ""
    for found in _FENCE.finditer(text):
        mark, rest = found[1], found[2]
        if not fence:
            fence = mark
        elif mark[0] == fence[0] and len(mark) >= len(fence) and not rest.strip():
            fence = ""
    return bool(fence)
