"""Tells thinking from answering when a model writes both into one text."""

OPEN, CLOSE = "<think>", "</think>"
_UNDECIDED, _THINKING, _GAP, _ANSWERING = range(4)


class ThinkSplitter:
    """Cuts a leading `<think>…</think>` off a text that comes in pieces.

    Only a block at the very start (white space aside) counts: a tag later on is part of the answer,
    as when somebody asks about the tag. Characters are held back only while they may be part of a
    tag. White space around the block belongs to neither side. A block that never ends is reasoning.
    """

    def __init__(self) -> None:
        self._state = _UNDECIDED
        self._held = ""
        self._begun = False

    def feed(self, text: str) -> tuple[str, str]:
        """(answer, reasoning) that these characters decided."""
        if self._state == _ANSWERING:
            return text, ""
        self._held += text
        thought = ""
        if self._state == _UNDECIDED:
            self._decide()
        if self._state == _THINKING:
            thought = self._think()
        if self._state == _GAP and (rest := self._held.lstrip()):
            self._state, self._held = _ANSWERING, rest
        answer = ""
        if self._state == _ANSWERING:
            answer, self._held = self._held, ""
        return answer, thought

    def flush(self) -> tuple[str, str]:
        """What the end of the stream decides."""
        held, self._held = self._held, ""
        if self._state == _THINKING:
            return "", held
        return ("" if self._state == _GAP else held), ""

    def _decide(self) -> None:
        start = self._held.lstrip()
        if start.startswith(OPEN):
            self._state, self._held = _THINKING, start[len(OPEN) :]
        elif not OPEN.startswith(start):
            self._state = _ANSWERING

    def _think(self) -> str:
        if not self._begun:
            self._held = self._held.lstrip()
            self._begun = bool(self._held)
        thought, tag, rest = self._held.partition(CLOSE)
        if tag:
            self._state, self._held = _GAP, rest
            return thought.rstrip()
        keep = len(thought) - len(thought.rstrip())
        for size in range(1, len(CLOSE)):
            if thought.endswith(CLOSE[:size]):
                body = thought[:-size]
                keep = size + len(body) - len(body.rstrip())
        cut = len(thought) - keep
        self._held = thought[cut:]
        return thought[:cut]
