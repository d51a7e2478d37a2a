"""What the JSON chunks of one stream say, added up over those that came together."""

import json
from decimal import Decimal
from typing import Any

import orjson

from chat.model_errors import ProviderError, classify
from chat.tokens import Usage, read_usage

# OpenAI's names, and what other servers call the same thing.
_FINISH = {
    "end_turn": "stop",
    "eos": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "function_call": "tool_calls",
    "safety": "content_filter",
}


class ChunkReader:
    """Feed it events; take `content` and `reasoning` that came with them by `take`.

    Halves of a surrogate pair that were escaped in two chunks are joined; a half without its pair
    becomes U+FFFD, so no text from here is unencodable. Raises ProviderError for broken JSON and
    for an error object inside the stream.
    """

    def __init__(self) -> None:
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.done = False
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._odd = False  # a surrogate has been seen since the last take
        self._half = ["", ""]

    def feed(self, events: list[bytes]) -> None:
        for event in events:
            if event.startswith(b"[DONE]"):
                self.done = True
                return
            self._read(self._parse(event), event)

    def take(self, final: bool = False) -> tuple[str, str]:
        content, reasoning = "".join(self._content), "".join(self._reasoning)
        self._content.clear()
        self._reasoning.clear()
        if self._odd:
            content, self._half[0] = _join_halves(self._half[0] + content, final)
            reasoning, self._half[1] = _join_halves(self._half[1] + reasoning, final)
            self._odd = bool(self._half[0] or self._half[1])
        return content, reasoning

    def _parse(self, event: bytes) -> dict[str, Any]:
        try:
            chunk = orjson.loads(event)
        except ValueError:
            chunk = self._parse_odd(event)
        if not isinstance(chunk, dict):
            raise ProviderError("bad_stream")
        return chunk

    def _parse_odd(self, event: bytes) -> object:
        """The strict parser refuses lone surrogates and broken UTF-8, this one does not."""
        try:
            chunk: object = json.loads(event.decode(errors="replace"))
        except (ValueError, RecursionError):
            raise ProviderError("bad_stream") from None
        self._odd = True
        return chunk

    def _read(self, chunk: dict[str, Any], event: bytes) -> None:
        try:
            choice = chunk["choices"][0]
            delta = choice.get("delta")
            if delta is None:
                delta = choice.get("message") or {}
            if content := delta.get("content") or delta.get("refusal"):
                self._add_content(content)
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if thought or "reasoning_details" in delta:
                self._add_reasoning(thought, delta)
            if reason := choice.get("finish_reason"):
                self._finish(reason, choice)
            if usage := choice.get("usage"):  # Moonshot's way
                self._use(usage, event)
        except (KeyError, IndexError, TypeError, AttributeError):
            if chunk.get("choices"):
                raise ProviderError("bad_stream") from None
        if chunk.get("error"):
            raise classify(None, chunk)
        if usage := chunk.get("usage"):
            self._use(usage, event)

    def _add_content(self, content: object) -> None:
        if isinstance(content, str):
            self._content.append(content)
            return
        assert isinstance(content, list)
        for part in content:  # Mistral's way: parts of text and of thinking
            if part.get("type") == "text":
                self._content.append(str(part.get("text", "")))
            elif part.get("type") == "thinking":
                self._reasoning += [str(piece.get("text", "")) for piece in part["thinking"]]

    def _add_reasoning(self, thought: object, delta: dict[str, Any]) -> None:
        if isinstance(thought, str):
            self._reasoning.append(thought)
            return
        for detail in delta.get("reasoning_details") or ():
            if isinstance(text := detail.get("text") or detail.get("summary"), str):
                self._reasoning.append(text)

    def _finish(self, reason: object, choice: dict[str, Any]) -> None:
        name = str(reason).lower()[:40]
        if name == "error":
            raise classify(None, choice)
        self.finish = _FINISH.get(name, name)

    def _use(self, usage: object, event: bytes) -> None:
        if isinstance(usage, dict):
            if "cost" in usage:  # money: read once more, its digits as they stand
                self.usage = read_usage(_exact(event, usage)) or self.usage
            else:
                self.usage = read_usage(usage) or self.usage


def _exact(event: bytes, usage: dict[str, Any]) -> dict[str, Any]:
    """The `usage` with every number as it was written; without its cost when that is no number."""
    try:
        chunk = json.loads(event.decode(errors="replace"), parse_float=Decimal)
        exact = chunk["usage"]
    except (ValueError, ArithmeticError, KeyError):
        exact = None
    return exact if isinstance(exact, dict) else usage | {"cost": None}


def _join_halves(text: str, final: bool) -> tuple[str, str]:
    """(text with its pairs joined, a first half at the end that waits for its second)."""
    half = ""
    if text and not final and "\ud800" <= text[-1] <= "\udbff":
        text, half = text[:-1], text[-1]
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), half
