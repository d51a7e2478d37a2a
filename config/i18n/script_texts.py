"""Reads the texts of our scripts, the arguments of `spoken("name", {…})`, without running them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from babel.messages.jslexer import Token, tokenize, unquote_string

OPENING = re.compile(r"\bspoken\((?=\s*\")")
SKIPPED = {"whitespace", "linecomment", "multilinecomment", "linebreak"}


@dataclass(frozen=True, slots=True)
class Text:
    """`text` is a sentence, or the two forms of an English plural. `context` distinguishes it from
    equal texts; in scripts it is its path, such as `chat.groups.today`."""

    where: str
    text: Any
    context: str


class UnreadableTextsError(Exception):
    """The arguments of `spoken` contain something other than strings, objects and lists."""


def texts_of(where: str, code: str) -> Iterator[Text]:
    """Yield the texts in the script `code`. Raises UnreadableTextsError."""
    for call in OPENING.finditer(code):
        if _is_comment(code, call.start()):
            continue
        tokens = (token for token in tokenize(code[call.end() :]) if token.type not in SKIPPED)
        reader = _Reader(where, tokens)
        name = reader.value()
        reader.expect(",")
        yield from _flat(where, name, reader.value())


def _is_comment(code: str, at: int) -> bool:
    line = code[code.rfind("\n", 0, at) + 1 : at]
    return "//" in line or line.lstrip().startswith("*")


def _flat(where: str, path: str, value: Any) -> Iterator[Text]:
    if isinstance(value, str):
        yield Text(where, value, path)
    elif value.keys() == {"one", "other"}:
        yield Text(where, (value["one"], value["other"]), path)
    else:
        for name, part in value.items():
            yield from _flat(where, f"{path}.{name}", part)


class _Reader:
    def __init__(self, where: str, tokens: Iterator[Token]) -> None:
        self._where, self._tokens = where, tokens
        self._ahead = next(tokens)

    def expect(self, value: str) -> None:
        if self._take().value != value:
            raise self._unreadable()

    def value(self) -> Any:
        """A string or a dictionary. A list becomes a dictionary whose keys are its indices."""
        token = self._take()
        if token.type == "string":
            return unquote_string(token.value)
        if token.value == "{":
            return self._until("}")
        if token.value == "[":
            return self._until("]")
        raise self._unreadable()

    def _until(self, end: str) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while self._ahead.value != end:
            name = str(len(items))
            if end == "}":
                name = self._take().value
                self.expect(":")
            items[name] = self.value()
            if self._ahead.value != end:
                self.expect(",")
        self._take()
        return items

    def _take(self) -> Token:
        token = self._ahead
        self._ahead = next(self._tokens, Token("end", "", 0))
        return token

    def _unreadable(self) -> UnreadableTextsError:
        return UnreadableTextsError(f"{self._where}: near {self._ahead.value!r}")
