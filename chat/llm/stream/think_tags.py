"""Tells thinking from answering when a model writes both into one text."""

import re

from chat.llm.stream.harmony import ALOUD, ANALYSIS_ALOUD, FINAL_ALOUD, STARTS, HarmonySplitter
from chat.llm.stream.mark_places import Said
from chat.llm.stream.think_marks import Marks, Pattern, pattern
from chat.transcript import Pieces

_UNDECIDED, _THINKING, _GAP, _ANSWERING, _PLAIN, _HARMONY = range(6)
# So many marks that turn out to be text, and no more are looked at.
MAX_LOOKS = 64
# White space is held back until it is known what it belongs to; a longer run counts as text.
MAX_SPACE_CHARS = 1_024
BETWEEN_BLOCKS = "\n\n"
_SPACE = re.compile(r"\s*")


class ThinkSplitter:
    """Cuts blocks of thinking, such as `<think>…</think>`, out of a text that comes in pieces.

    A block counts at the very start (white space aside); after such a one, another where a line
    begins or a sentence has ended. A closing mark without an opening one counts as well, once:
    then the model's template has opened the block, `recast` is true after that `feed`, and its
    reasoning is all that was given out as the answer before. Marks in code, in quotes or within a
    sentence are text, as when somebody asks about them. Characters are held back only while they
    may be part of a mark, or white space around a block, which belongs to neither side. A block
    that never ends is reasoning. Work and what is held grow with the longest piece, not with the
    text, so pieces should be small.

    `before`: the answer that this text goes on with, in the middle of its last line (`is_glued`)
    or after thinking anew. `begins`: the closing mark of a model that thinks first without saying
    so.
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
        self.has_fields = False  # thinking came in a field of its own, so none is in the text
        self._marks = marks or Marks()
        self._before, self._is_glued = before, is_glued
        self._close = "" if is_glued else self._marks.begins or begins
        pairs = self._marks.pairs
        self._opens = pattern(*(mark for mark, _ in pairs)) if pairs else None
        self._said = Said(before, self._opens)  # the answer, or thinking that is only assumed
        self._looked_to = 0  # of what is held, it is in `_said` already
        # What is looked for while answering: closing marks; after a block its opening mark.
        self._look_for(pattern(*(mark for _, mark in pairs)) if pairs else None)
        self._opening = ""  # of the block that begins: some models write it twice
        self._has_block = False
        self._looks = 0
        self._given = Pieces()  # as the answer, until a block has come
        self._held = ""
        self._begun = False
        self._between = ""
        self._harmony = HarmonySplitter()
        self._state = _UNDECIDED if pairs or self._close or self._marks.has_harmony else _PLAIN

    @property
    def has_called(self) -> bool:
        """A tool was asked for, in the text."""
        return self._harmony.calls

    @property
    def is_assumed(self) -> bool:
        """All of it was taken for thinking, only because the model is known to begin so."""
        return self._state == _THINKING and not self._has_block and not self._marks.begins

    def feed(self, text: str) -> tuple[str, str]:
        """(answer, reasoning) that these characters decided."""
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
        """What is decided of what is held, block after block."""
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
        """What the end of the stream decides."""
        self.recast = False
        if self._state == _HARMONY:
            return self._harmony.flush()
        held, self._held = self._held, ""
        if self._state == _THINKING:
            return "", (self._between + held if held and not self._begun else held)
        return (held.lstrip() if self._state == _GAP else held), ""

    # Private

    def _end_gap(self) -> None:
        """The answer begins after a block; a mark that closes the block twice is passed over."""
        close, held = pattern(self._close), self._held
        at = _end_of_space(held, 0)
        while found := close.match(held, at):
            at = _end_of_space(held, found.end())
        self._held = rest = held[at:]
        if rest and close.held(rest) < len(rest):
            self._state = _ANSWERING

    def _decide(self) -> None:
        """What the beginning is: a block, thinking without a mark, or an answer."""
        start = self._held.lstrip()
        found = self._opens.match(start) if self._opens else None
        if found and (not self._is_glued or self._said.place() == "edge"):
            self._begin(found[0], start[found.end() :])
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
            self._said = Said(self._before)
        self._look_for(pattern(opening) if opening else None)

    def _look_for(self, marks: Pattern | None) -> None:
        self._looked_for = marks
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
        if found := self._closing(close):
            thought, self._held = self._held[: found.start()].rstrip(), self._held[found.end() :]
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
                self._said.add(thought[self._looked_to :])
            self._looked_to = 0
            thought, self._between = self._between + thought, ""
        return thought

    def _closing(self, close: Pattern) -> re.Match[str] | None:
        """The mark that ends the block. Where the block is only assumed, as an answer is looked at:
        this time the model may have written one at once, about the mark."""
        held, at = self._held, 0
        found = close.search(held)
        while found and self.is_assumed:
            self._said.add(held[at : found.start()])
            if self._is_stray(found[0]):
                break
            self._looks += 1
            at = found.start()
            found = close.search(held, found.end()) if self._looks < MAX_LOOKS else None
        self._looked_to = at
        return found

    def _answer(self) -> str:
        """The answer up to a mark that begins or ends thinking, or to what may become one."""
        held, at, given = self._held, 0, 0
        marks = self._looked_for
        while marks and (found := marks.search(held, at)):
            self._looks += 1
            if self._looks > MAX_LOOKS:
                self._state, marks = _PLAIN, None
                break
            self._give(held[given : found.start()])
            given, at = found.start(), found.end()
            if self._has_block:
                if self._said.place() == "edge":
                    self._begin(found[0], held[at:])
                    self._between = BETWEEN_BLOCKS
                    return held[:given]
            elif self._is_stray(found[0]):
                return self._recast(found[0], held[at:])
        keep = marks.held(held[at:]) if marks else 0
        end = len(held) - keep
        self._give(held[given:end])
        self._held = held[end:]
        return held[:end]

    def _give(self, answer: str) -> None:
        self._said.add(answer)
        if not self._has_block:
            self._given.add(answer)

    def _is_stray(self, mark: str) -> bool:
        """Whether a closing mark without an opening one ends what was thinking from the start."""
        if self.has_fields and self._said.has_text:
            return False
        opening = self._marks.opening_of(mark)
        if opening and self._said.holds(opening):
            return False
        return self._said.place() in ("edge", "glued")

    def _recast(self, mark: str, after: str) -> str:
        """All that was given out as the answer, which was thinking."""
        self.recast, self.closed_by = True, mark
        thought = str(self._given)
        self._note_block(self._marks.opening_of(mark))
        self._state, self._held, self._close = _GAP, after, mark
        return thought


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
