"""OpenAI's harmony format, where a server gives it out as it is: gpt-oss behind a plain template.

<|channel|>analysis<|message|>thinking<|end|><|start|>assistant<|channel|>final<|message|>text
"""

import re

_NAMES = ("start", "channel", "message", "constrain", "end", "return", "call")
_MARK = re.compile(rf"<\|({'|'.join(_NAMES)})\|>")
_MARKS = tuple(f"<|{name}|>" for name in _NAMES)
_LONGEST = max(map(len, _MARKS))
STARTS = ("<|channel|>", "<|start|>")


class HarmonySplitter:
    """Gives the final channel as the answer and every other as reasoning. `calls`: a tool was asked
    for, whose arguments are neither."""

    def __init__(self) -> None:
        self.calls = False
        self._held = ""
        self._header: str | None = ""
        self._into = ""  # "answer", "thought" or "" for what nobody is shown
        self._begun = False
        self._space = ""
        self._between = ""

    def feed(self, text: str) -> tuple[str, str]:
        """(answer, reasoning) that these characters decided."""
        self._held += text
        given = {"answer": "", "thought": "", "": ""}
        at = 0
        for mark in _MARK.finditer(self._held):
            given[self._into] += self._take(self._held[at : mark.start()])
            self._pass(mark[1])
            at = mark.end()
        rest = self._held[at:]
        start = rest.rfind("<", -_LONGEST)
        if start < 0 or not any(mark.startswith(rest[start:]) for mark in _MARKS):
            start = len(rest)
        self._held = rest[start:]
        given[self._into] += self._take(rest[:start])
        return given["answer"], given["thought"]

    def flush(self) -> tuple[str, str]:
        held, self._held = self._held, ""
        rest = self._take(held)
        return (rest if self._into == "answer" else ""), (rest if self._into == "thought" else "")

    def _take(self, text: str) -> str:
        if self._header is not None:
            self._header += text
            return ""
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
            if text and self._into == "thought":
                text = self._between + text
                self._between = "\n\n"
        if self._into == "thought":  # White space at its end belongs to neither side.
            text, self._space = self._space + text, ""
            body = text.rstrip()
            text, self._space = body, text[len(body) :]
        return text

    def _pass(self, mark: str) -> None:
        if mark == "message":
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
