"""Takes the text out of the XML of Word and PowerPoint, which name its elements alike.

Text is in `t`, paragraphs are `p`, tables are `tbl` with rows `tr` and cells `tc`.
"""

from collections.abc import Mapping

from chat.files.reading.child.archives import Archive
from chat.files.reading.child.xml_parts import Enough, parse

# Older programs read the fallback instead of what stands beside it.
_SKIPPED = {"Fallback"}
_BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}


class Runs:
    """Gathers up to `most_chars`."""

    def __init__(self, most_chars: int) -> None:
        self.pieces: list[str] = []
        self._left = most_chars
        self._path: list[str] = []
        self._skipping = 0
        self._cells = 0  # How many cells of tables this place is in.
        self._is_first_cell = True

    def start(self, name: str, _: Mapping[str, str]) -> None:
        self._skipping += name in _SKIPPED
        parent = self._path[-1] if self._path else ""
        self._path.append(name)
        # Elsewhere `tab` is a tab stop.
        if name in _BREAKS and parent in ("r", "p"):
            self._put(_BREAKS[name])
        elif name == "tr":
            self._is_first_cell = True
        elif name == "tc":
            if not self._is_first_cell:
                self._put("\t")
            self._is_first_cell = False
            self._cells += 1

    def end(self, name: str) -> None:
        self._path.pop()
        self._skipping -= name in _SKIPPED
        if name == "tc":
            self._cells -= 1
            self._strip()
        elif name == "tr" or (name == "p" and not self._cells):
            self._put("\n")
        elif name == "p":
            self._put(" ")

    def text(self, data: str) -> None:
        if self._path[-1] == "t":
            self._put(data)

    def _put(self, text: str) -> None:
        if self._skipping:
            return
        if self._cells:
            text = text.replace("\n", " ")
        self.pieces.append(text)
        self._left -= len(text)
        if self._left < 0:
            raise Enough

    def _strip(self) -> None:
        """Drop the space that the last paragraph of a cell left."""
        if self.pieces and self.pieces[-1] == " ":
            self.pieces.pop()


def text_of(archive: Archive, part: str, most_chars: int) -> str:
    """The part's text; one character more than that says that there is more."""
    runs = Runs(most_chars)
    parse(archive, part, runs.start, runs.end, runs.text)
    return "".join(runs.pieces).lstrip("\n").rstrip("\n ")
