"""Separates thinking from the answer if a model writes both into one text."""

import re

from chat.llm.stream.harmony import ALOUD, ANALYSIS_ALOUD, FINAL_ALOUD, STARTS, HarmonySplitter
from chat.llm.stream.mark_places import ScannedText
from chat.llm.stream.think_marks import Marks, Pattern, pattern
from chat.transcript import Pieces

_UNDECIDED, _THINKING, _GAP, _ANSWERING, _PLAIN, _HARMONY = range(6)
# After this many marks that turned out to be text, marks are not checked any more.
MAX_LOOKS = 64
# White space is held back until its place is decided; a longer run counts as text.
MAX_SPACE_CHARS = 1_024
BETWEEN_BLOCKS = "\n\n"
_SPACE = re.compile(r"\s*")


class ThinkSplitter:
    """Separates blocks of thinking, such as `<think>…</think>`, from a text that comes in pieces.

    A block may start at the beginning of the text (after white space). After such a block, another
    one may start at the beginning of a line or after a sentence. A closing mark without an opening
    one also counts, once: the model's template has opened the block. Then `recast` is true after
    that `feed`, which returns all of the previous answer as reasoning. Marks in code, in quotes or
    within a sentence are text, as in an answer about marks. Characters are held back only while
    they may be part of a mark, or are white space around a block, which is dropped. A block that
    never ends is reasoning. The work and the memory grow with the longest piece, not with the text,
    so pieces should be small.

    `before`: the answer that this text continues, either in the middle of its last line
    (`is_glued`) or after thinking anew. `begins`: the closing mark of a model whose answers begin
    with thinking without an opening mark.
    """

    def __init__(
        self,
        marks: Marks | None = None,
        *,
        before: str = "",
        is_glued: bool = False,
        begins: str = "",
    ) -> None:
        self.recast = False
        self.closed_by = ""  # the mark that closed a block which the template had opened
        self.has_fields = False  # Thinking came in a separate field, so the text has none.
        self._marks = marks or Marks()
        self._before, self._is_glued = before, is_glued
        self._close = "" if is_glued else self._marks.begins or begins
        pairs = self._marks.pairs
        self._opens = pattern(*(mark for mark, _ in pairs)) if pairs else None
        # The answer, or thinking that is only assumed.
        self._scanned = ScannedText(before, self._opens)
        self._scanned_to = 0  # how much of `_held` was added to `_scanned`
        # The marks searched for in the answer: closing marks; after a block, its opening mark.
        self._set_marks_to_find(pattern(*(mark for _, mark in pairs)) if pairs else None)
        self._opening = ""  # the opening mark at the start of a block; some models write it twice
        self._has_block = False
        self._looks = 0
        self._given = Pieces()  # the answer returned so far, until there is a block
        self._held = ""
        self._begun = False
        self._between = ""
        self._harmony = HarmonySplitter()
        self._state = _UNDECIDED if pairs or self._close or self._marks.has_harmony else _PLAIN

    @property
    def has_called(self) -> bool:
        """Whether the text has a tool call."""
        return self._harmony.calls

    @property
    def is_assumed(self) -> bool:
        """Whether everything so far is taken for thinking only because of the model's earlier
        answers."""
        return self._state == _THINKING and not self._has_block and not self._marks.begins

    def feed(self, text: str) -> tuple[str, str]:
        """(answer, reasoning) that is decided with this text."""
        self.recast = False
        if self._state == _ANSWERING and not self._held:
            for first in self._firsts:
                if first in text:
                    break
            else:
                self._give(text)
                return text, ""
        if self._state == _PLAIN:
            return text, ""
        self._held += text
        if self._state == _UNDECIDED:
            self._decide()
        if self._state == _HARMONY:
            held, self._held = self._held, ""
            return self._harmony.feed(held)
        return self._read_on()

    def _read_on(self) -> tuple[str, str]:
        """Reads the held text as far as it is decided, block after block."""
        answer = thought = ""
        while self._state in (_THINKING, _GAP, _ANSWERING):
            if self._state == _THINKING:
                thought += self._think()
            if self._state == _GAP:
                self._end_gap()
            if self._state != _ANSWERING:
                break
            was_recast = self.recast
            answer += self._answer()
            if self.recast and not was_recast:
                answer, thought = "", answer.strip()
            elif self._state != _THINKING:
                break
        return answer, thought

    def flush(self) -> tuple[str, str]:
        """(answer, reasoning) of the held text, at the end of the stream."""
        self.recast = False
        if self._state == _HARMONY:
            return self._harmony.flush()
        held, self._held = self._held, ""
        if self._state == _THINKING:
            return "", (self._between + held if held and not self._begun else held)
        return (held.lstrip() if self._state == _GAP else held), ""

    # Private

    def _end_gap(self) -> None:
        """Skips white space and repeated closing marks between a block and the answer."""
        close, held = pattern(self._close), self._held
        at = _end_of_space(held, 0)
        while match := close.match(held, at):
            at = _end_of_space(held, match.end())
        self._held = rest = held[at:]
        if rest and close.held(rest) < len(rest):
            self._state = _ANSWERING

    def _decide(self) -> None:
        """Decides what the text begins with: a block, thinking without a mark, or the answer."""
        start = self._held.lstrip()
        match = self._opens.match(start) if self._opens else None
        if match and (not self._is_glued or self._scanned.place() == "edge"):
            self._begin(match[0], start[match.end() :])
        elif start.startswith(STARTS) and self._marks.has_harmony and not self._is_glued:
            self._state = _HARMONY
        elif ALOUD.match(start) and self._marks.has_harmony and not self._is_glued:
            self._state, self._close = _THINKING, FINAL_ALOUD
            self._held = start.removeprefix(ANALYSIS_ALOUD)
        elif self._may_begin(start) and len(self._held) - len(start) <= MAX_SPACE_CHARS:
            return
        elif self._close:
            self._state = _THINKING
        else:
            self._state = _ANSWERING

    def _may_begin(self, start: str) -> bool:
        if not start:
            return True
        if self._opens and self._opens.held(start) == len(start):
            return True
        return self._marks.has_harmony and any(
            mark.startswith(start) for mark in (*STARTS, ANALYSIS_ALOUD)
        )

    def _begin(self, opening: str, rest: str) -> None:
        self._note_block(opening)
        self._close = self._marks.close_of(opening)
        self._state, self._held, self._begun = _THINKING, rest, False
        self._opening = opening

    def _note_block(self, opening: str) -> None:
        if not self._has_block:
            self._has_block = True
            self._given.set("")
            self._scanned = ScannedText(self._before)
        self._set_marks_to_find(pattern(opening) if opening else None)

    def _set_marks_to_find(self, marks: Pattern | None) -> None:
        self._marks_to_find = marks
        self._firsts = marks.firsts if marks else ()

    def _think(self) -> str:
        if not self._begun:
            self._held = self._held.lstrip()
            opening = pattern(self._opening) if self._opening else None
            if opening and (twice := opening.match(self._held)):
                self._held, self._opening = self._held[twice.end() :].lstrip(), ""
            elif opening and self._held and opening.held(self._held) == len(self._held):
                return ""
            self._begun = bool(self._held)
        close = pattern(self._close)
        if match := self._find_closing(close):
            thought, self._held = self._held[: match.start()].rstrip(), self._held[match.end() :]
            self._state = _GAP
            if not self._has_block:
                self.closed_by = self._close
                self._note_block(self._marks.opening_of(self._close))
        else:
            cut = len(self._held) - close.held(self._held)
            thought = self._held[:cut].rstrip()
            if cut - len(thought) > MAX_SPACE_CHARS:
                thought = self._held[:cut]
            self._held = self._held[len(thought) :]
        if thought:
            if self.is_assumed:
                self._scanned.add(thought[self._scanned_to :])
            self._scanned_to = 0
            thought, self._between = self._between + thought, ""
        return thought

    def _find_closing(self, close: Pattern) -> re.Match[str] | None:
        """The mark that ends the block. If the block is only assumed, marks are checked as in an
        answer, because this text may be an answer about marks."""
        held, at = self._held, 0
        match = close.search(held)
        while match and self.is_assumed:
            self._scanned.add(held[at : match.start()])
            if self._closes_implicit_block(match[0]):
                break
            self._looks += 1
            at = match.start()
            match = close.search(held, match.end()) if self._looks < MAX_LOOKS else None
        self._scanned_to = at
        return match

    def _answer(self) -> str:
        """The answer up to a mark that begins or ends thinking, or to the start of a mark."""
        held, at, given = self._held, 0, 0
        marks = self._marks_to_find
        while marks and (match := marks.search(held, at)):
            self._looks += 1
            if self._looks > MAX_LOOKS:
                self._state, marks = _PLAIN, None
                break
            self._give(held[given : match.start()])
            given, at = match.start(), match.end()
            if self._has_block:
                if self._scanned.place() == "edge":
                    self._begin(match[0], held[at:])
                    self._between = BETWEEN_BLOCKS
                    return held[:given]
            elif self._closes_implicit_block(match[0]):
                return self._recast(match[0], held[at:])
        keep = marks.held(held[at:]) if marks else 0
        end = len(held) - keep
        self._give(held[given:end])
        self._held = held[end:]
        return held[:end]

    def _give(self, answer: str) -> None:
        self._scanned.add(answer)
        if not self._has_block:
            self._given.add(answer)

    def _closes_implicit_block(self, mark: str) -> bool:
        """Whether a closing mark without an opening one ends thinking that began with the text."""
        if self.has_fields and self._scanned.has_text:
            return False
        opening = self._marks.opening_of(mark)
        if opening and self._scanned.holds(opening):
            return False
        return self._scanned.place() in ("edge", "glued")

    def _recast(self, mark: str, after: str) -> str:
        """Returns the previous answer, which turned out to be thinking."""
        self.recast, self.closed_by = True, mark
        thought = str(self._given)
        self._note_block(self._marks.opening_of(mark))
        self._state, self._held, self._close = _GAP, after, mark
        return thought


def _end_of_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()
