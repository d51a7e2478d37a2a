"""Reads OpenAI's harmony format, which some servers send unparsed (gpt-oss with a plain template).

<|channel|>analysis<|message|>thinking<|end|><|start|>assistant<|channel|>final<|message|>text
"""

import re

from chat.llm.stream.mark_places import ScannedText

_NAMES = ("start", "channel", "message", "constrain", "end", "return", "call")
_MARK = re.compile(rf"<\|({'|'.join(_NAMES)})\|>")
_MARKS = tuple(f"<|{name}|>" for name in _NAMES)
_LONGEST = max(map(len, _MARKS))
STARTS = ("<|channel|>analysis", "<|channel|>commentary", "<|channel|>final", "<|start|>assistant")
# The text if a server drops the marks: analysisThinking.assistantfinalText
ANALYSIS_ALOUD, FINAL_ALOUD = "analysis", "assistantfinal"
ALOUD = re.compile(r"analysis(?=[A-Z])")
MAX_LOOKS = 64
MAX_HEADER_CHARS = 1_000  # A longer text is not a header.
# White space at the end of thinking is held back up to this length; longer runs are passed on.
MAX_SPACE_CHARS = 1_024


class HarmonySplitter:
    """Returns the final channel as the answer and all others as reasoning. `calls`: the model asked
    for a tool; its arguments are dropped."""

    def __init__(self) -> None:
        self.calls = False
        self._held = ""
        self._header: str | None = ""
        self._into = ""  # "answer", "thought", or "" for dropped text
        self._begun = False
        self._space = ""
        self._between = ""
        self._raw = ""  # the whole text, until a channel has begun (`_has_begun`)
        self._has_begun = False
        self._scanned = ScannedText()  # the answer
        self._looks = 0

    def feed(self, text: str) -> tuple[str, str]:
        """(answer, reasoning) that is decided with this text."""
        self._held += text
        if not self._has_begun:
            self._raw += text
        given = {"answer": "", "thought": "", "": ""}
        at = 0
        for mark in _MARK.finditer(self._held):
            given[self._into] += self._take(self._held[at : mark.start()])
            if self._is_code():
                given["answer"] += self._take(mark[0])
            else:
                self._read_mark(mark[1])
            at = mark.end()
        rest = self._held[at:]
        start = rest.rfind("<", -_LONGEST)
        if start < 0 or not any(mark.startswith(rest[start:]) for mark in _MARKS):
            start = len(rest)
        self._held = rest[start:]
        given[self._into] += self._take(rest[:start])
        if not self._has_begun and len(self._raw) > MAX_HEADER_CHARS:
            return self._as_text(), ""
        return given["answer"], given["thought"]

    def flush(self) -> tuple[str, str]:
        held, self._held = self._held, ""
        rest = self._take(held)
        header = (self._header or "").strip()
        if not self._has_begun and " " in header and "to=" not in header:
            return self._raw, ""  # No channel has begun, so the answer only mentions the marks.
        return (rest if self._into == "answer" else ""), (rest if self._into == "thought" else "")

    def _as_text(self) -> str:
        """Returns everything as the answer, if no channel has begun within a header's length."""
        text, self._raw, self._held = self._raw, "", ""
        self._has_begun = self._begun = True
        self._header, self._into = None, "answer"
        self._scanned.add(text)
        return text

    def _is_code(self) -> bool:
        """Whether a mark here is in code in the answer, as when the answer is about marks."""
        if self._into != "answer" or self._looks >= MAX_LOOKS:
            return False
        self._looks += 1
        return self._scanned.place() == "code"

    def _take(self, text: str) -> str:
        if self._header is not None:
            if len(self._header) <= MAX_HEADER_CHARS:
                self._header += text
            return ""
        if self._into == "answer":
            self._scanned.add(text)
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
            if text and self._into == "thought":
                text = self._between + text
                self._between = "\n\n"
        if self._into == "thought":  # White space at the end of thinking is dropped.
            text, self._space = self._space + text, ""
            body = text.rstrip()
            if len(text) - len(body) > MAX_SPACE_CHARS:
                body = text
            text, self._space = body, text[len(body) :]
        return text

    def _read_mark(self, mark: str) -> None:
        if mark == "message":
            self._has_begun, self._raw = True, ""
            self._into = self._into_of(self._header or "")
            self._header, self._begun = None, False
        elif mark != "constrain" and (self._header is None or mark not in ("start", "channel")):
            self._header, self._into = "", ""
        if mark in ("end", "return", "call", "message"):
            self._space = ""

    def _into_of(self, header: str) -> str:
        if "to=" in header:
            self.calls = True
            return ""
        return "answer" if "final" in header or header.strip() in ("", "assistant") else "thought"
