"""Reads the JSON chunks of a stream, and collects the text of those that came together."""

import hashlib
import json
import re
from decimal import Decimal
from typing import Any

import orjson

from billing.token_usage import TokenUsage
from chat.llm.errors import ProviderError, classify
from chat.llm.stream import finish_reasons
from chat.llm.stream.chunk_shapes import (
    delta_of,
    find_error,
    kind_of,
    picture_name,
    plain_text,
    reasoning_of,
    reasoning_text,
    to_openai_shape,
)
from chat.llm.stream.picture_data import may_have_pictures, take_pictures
from chat.llm.stream.sound_data import SoundReader
from chat.llm.stream.sse import BOM
from chat.llm.tokens import read_usage

# The commas and opening brackets of an event, which limit its number of values: as Python objects
# they take twenty times the memory of their text.
MAX_EVENT_VALUES = 100_000
FEW_BYTES = 64 * 1024
MAX_PICTURES = 10  # of one answer
MAX_IGNORED_EVENTS = 10_000  # more than the pings of a whole day
_END_MARKERS = frozenset((b"[done]", b"done", b'"[done]"', b"[end]", b"[stop]"))
_NON_TEXT_FIELDS = frozenset(
    ("images", "image", "audio", "video", "tool_calls", "function_call", "files")
)
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_USUAL_KEYS = frozenset(("content", "role", "reasoning_content", "reasoning"))


class ChunkReader:
    """`feed` it events; `take` returns the content and the reasoning in them.

    The halves of a surrogate pair that were escaped in two chunks are joined, and a lone half
    becomes U+FFFD, so that all text can be encoded. Events without content (pings, empty events,
    comments) are ignored. `feed` raises ProviderError for a damaged chunk, which may have contained
    text, and for an error in the stream.
    """

    def __init__(self, *, takes_pictures: bool = False, takes_sound: bool = False) -> None:
        """`takes_pictures`: `pop_pictures` returns them; otherwise they are omitted. `takes_sound`:
        likewise `pop_sound`. What is said counts as text in any case."""
        self.finish: str | None = None
        self.usage: TokenUsage | None = None
        self.done = False
        self.seen = False  # A chunk was received.
        self.ignored = 0
        self.omitted: list[str] = []  # kinds of content that are not taken
        self.picture_count = 0
        self._takes_pictures, self._takes_sound = takes_pictures, takes_sound
        self._sound = SoundReader()
        self._named_pictures: dict[str, bytearray] = {}  # of the current event
        self._pictures: list[bytearray] = []  # since the last `pop_pictures`
        self._picture_digests: set[bytes] = set()  # Some servers repeat them at the end.
        # These distinguish a finish reason that ends the answer from one that is in every chunk.
        self.has_text_after_finish = False
        self._has_final_usage = False  # A chunk with usage only came after the finish reason.
        self._has_content = False
        self._has_plain_text = False  # Text came in a chunk without a finish reason.
        self._has_plain_chunk = False  # A chunk without text and finish reason came.
        self._is_believable = False
        self._whole = ""  # the last whole message, if the server repeats it
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._earlier: list[tuple[list[str], list[str]]] = []
        self._may_have_surrogates = False  # since the last `take`
        self._half = ["", ""]  # halves that wait for their pair, of content and of reasoning

    @property
    def is_finished(self) -> bool:
        """Whether the finish reason is reliable: some servers put "stop" into every chunk."""
        return self._has_final_usage or (self._is_believable and not self.has_text_after_finish)

    def feed(self, events: list[bytes]) -> None:
        for event in events:
            self._named_pictures = {}
            if self._takes_pictures and may_have_pictures(event):
                event, self._named_pictures = take_pictures(event)
            if len(event) > FEW_BYTES:
                _check_values(event)
            try:
                chunk = orjson.loads(event)
            except ValueError:
                self._read_odd(event)
            else:
                if self._take_plain_piece(chunk):
                    continue
                try:
                    self._read_value(chunk, event)
                except RecursionError:
                    raise ProviderError("bad_stream") from None
            if self.done:
                return

    def _take_plain_piece(self, chunk: Any) -> bool:
        """Reads a chunk with a piece of text or of reasoning and nothing else; False for others.

        This is the fast path for nearly all chunks. `_read` reads the others.
        """
        try:
            choice = chunk["choices"][0]
            delta = choice["delta"]
            piece, into = delta.get("content"), self._content
        except (KeyError, IndexError, TypeError, AttributeError):
            return False
        if len(delta) > 1:
            for key, value in delta.items():
                if not value or key in ("role", "content"):
                    continue
                if piece or key not in ("reasoning_content", "reasoning"):
                    return False
                if self._content:
                    self._begin_pair()
                piece, into = value, self._reasoning
        if not piece or type(piece) is not str or self.finish or choice.get("finish_reason"):
            return False
        if chunk.get("usage") or chunk.get("error") or not self._has_plain_text:
            return False
        into.append(piece)
        return True

    def take(self, final: bool = False) -> list[tuple[str, str]]:
        """The text since the last call: [(reasoning, content that came after it)]. There are
        several pairs only if reasoning came after content."""
        last = (self._reasoning, self._content)
        pairs = [*self._earlier, last] if self._earlier else [last]
        self._reasoning, self._content, self._earlier = [], [], []
        return [self._joined(*pair, final and pair is last) for pair in pairs]

    def pop_pictures(self) -> list[bytearray]:
        """The pictures since the last call, decoded and unchecked."""
        pictures, self._pictures = self._pictures, []
        return pictures

    def pop_sound(self) -> bytes:
        """The sound since the last call, in whole samples."""
        return self._sound.pop()

    @property
    def sound_bytes(self) -> int:
        return self._sound.size

    def _begin_pair(self) -> None:
        self._earlier.append((self._reasoning, self._content))
        self._reasoning, self._content = [], []

    def _joined(self, thoughts: list[str], contents: list[str], final: bool) -> tuple[str, str]:
        reasoning, content = "".join(thoughts), "".join(contents)
        if self._may_have_surrogates:
            content, self._half[0] = _join_halves(self._half[0] + content, final)
            reasoning, self._half[1] = _join_halves(self._half[1] + reasoning, final)
            self._may_have_surrogates = bool(self._half[0] or self._half[1])
        return reasoning, content

    def _read_odd(self, event: bytes) -> None:
        """Reads an event that orjson refuses: an end marker, a comment, lone surrogates, invalid
        UTF-8, several documents in one event, or a damaged chunk."""
        bare = event.removeprefix(BOM).strip()
        while bare.startswith(b"data:"):
            bare = bare[5:].strip()
        if bare.lower() in _END_MARKERS:
            self.done = True
        elif bare[:1] not in (b"{", b"["):
            self._count_ignored()
        else:
            self._may_have_surrogates = True
            try:
                for chunk in _documents(bare.decode(errors="replace")):
                    self._read_value(chunk, bare)
            except RecursionError:
                raise ProviderError("bad_stream") from None

    def _read_value(self, value: object, event: bytes) -> None:
        """Reads one document: a chunk or a list of chunks."""
        chunks = value if isinstance(value, list) else [value]
        for chunk in chunks:
            if isinstance(chunk, dict):
                self._read(chunk, event)
            elif isinstance(chunk, str) and chunk.strip().lower() == "[done]":
                self.done = True
            else:
                self._count_ignored()

    def _count_ignored(self) -> None:
        self.ignored += 1
        if self.ignored > MAX_IGNORED_EVENTS:
            raise ProviderError("bad_stream")

    def _read(self, chunk: dict[str, Any], event: bytes) -> None:
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else choices
        if not choice or not isinstance(choice, dict):
            self._read_without_choice(chunk, event)
            return
        delta = delta_of(choice, has_text=self._has_content and not self._whole)
        if delta is None:
            delta = self._delta_from_message(choice)
        self._read_choice(choice, delta)
        if chunk.get("error"):
            raise classify(None, chunk)
        if usage := chunk.get("usage") or choice.get("usage"):  # the latter by Moonshot
            self._set_usage(usage, event)

    def _read_choice(self, choice: dict[str, Any], delta: dict[str, Any]) -> None:
        self.seen = True
        before = self._count_pieces()
        if thought := reasoning_of(delta):
            self._add_reasoning(thought)
        if content := delta.get("content"):
            self._add_content(content)
        if not delta.keys() <= _USUAL_KEYS:
            self._add_extras(delta, bool(content))
        has_come = self._count_pieces() > before
        if choice.get("error"):
            raise classify(None, choice)
        reason = choice.get("finish_reason")
        if reason:
            reason = finish_reasons.normalize_reason(reason)
        if has_come and not reason and self.finish is None:
            self._has_content = self._has_plain_text = True
        else:
            self._judge(reason, has_come)

    def _judge(self, reason: str | None, has_come: bool) -> None:
        """Decides whether a finish reason is believable: not if every chunk has one, nor if text
        follows it."""
        if has_come:
            self.has_text_after_finish = self.has_text_after_finish or self.finish is not None
            self._is_believable = bool(reason) and self._has_plain_text
            self._has_content = True
            self._has_plain_text = self._has_plain_text or not reason
            self.finish = None
        elif reason:
            is_first = not self._has_content and not self._has_plain_chunk
            self._is_believable = self._has_plain_text or not (is_first or self._has_content)
        else:
            self._has_plain_chunk = True
        if reason:
            self.finish = reason

    def _read_without_choice(self, chunk: dict[str, Any], event: bytes) -> None:
        if (known := to_openai_shape(chunk)) is not None:
            self._read(known, event)
            return
        if error := find_error(chunk):
            raise classify(None, error)
        if chunk.get("usage"):
            self.seen = self.seen or "choices" in chunk
            self._has_final_usage = self.finish is not None
            self._set_usage(chunk["usage"], event)
        elif "choices" in chunk:
            self.seen = True
        else:
            self._count_ignored()

    def _delta_from_message(self, choice: dict[str, Any]) -> dict[str, Any]:
        """The delta of a choice without one: the part of its whole message that is new."""
        message = choice.get("message")
        if not isinstance(message, dict):
            text = choice.get("text")  # the older completions API
            return {"content": text} if isinstance(text, str) else {}
        whole = plain_text(message.get("content"))
        if self._has_content and not self._whole:
            # The deltas had it.
            return {**message, "content": None, "audio": None, **dict.fromkeys(_THOUGHTS)}
        before, self._whole = self._whole, whole
        if before and whole.startswith(before):
            return {**message, "content": whole[len(before) :], **dict.fromkeys(_THOUGHTS)}
        return message

    def _add_reasoning(self, thought: str) -> None:
        if self._content:
            self._begin_pair()
        self._reasoning.append(thought)

    def _count_pieces(self) -> tuple[int, ...]:
        texts = len(self._earlier), len(self._reasoning), len(self._content)
        return (*texts, self.picture_count, self.sound_bytes)

    def _add_content(self, content: object) -> None:
        if isinstance(content, str):
            self._content.append(content)
            return
        for part in content if isinstance(content, list) else [content]:
            # Mistral sends parts of text and of thinking.
            if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
                self._add_reasoning(reasoning_text(part))
            elif text := plain_text(part):
                self._content.append(text)
            elif kind := kind_of(part):
                self._add_other(part, kind)

    def _add_other(self, part: object, kind: str) -> None:
        """Reads a part that is not text."""
        if kind == "audio" and isinstance(part, dict):
            return self._add_sound(part)
        picture = self._named_pictures.get(picture_name(part)) if kind == "image" else None
        if not picture:
            return self._omit(kind)
        digest = hashlib.sha256(picture).digest()
        if digest in self._picture_digests:
            return None
        if self.picture_count >= MAX_PICTURES:
            return self._omit(kind)
        self._picture_digests.add(digest)
        self._pictures.append(picture)
        self.picture_count += 1
        return None

    def _add_sound(self, part: dict[str, Any]) -> None:
        """Reads `{id, data, transcript, expires_at}`, of which each chunk has some."""
        if isinstance(transcript := part.get("transcript"), str) and transcript:
            self._content.append(transcript)
        data = part.get("data")
        if not data:
            return None
        if not self._takes_sound or not isinstance(data, str):
            return self._omit("audio")
        self._sound.feed(data)
        return self._omit("audio") if self._sound.is_damaged else None

    def _add_extras(self, delta: dict[str, Any], has_content: bool) -> None:
        if not has_content and isinstance(refusal := delta.get("refusal"), str) and refusal:
            self._content.append(refusal)
        for key in _NON_TEXT_FIELDS & delta.keys():
            values = delta[key] if isinstance(delta[key], list) else [delta[key]]
            for value in values:
                if value:
                    self._add_other(value, kind_of({"type": key}))

    def _omit(self, kind: str) -> None:
        if kind and kind not in self.omitted:
            self.omitted.append(kind)

    def _set_usage(self, usage: object, event: bytes) -> None:
        if isinstance(usage, dict):
            if "cost" in usage:  # Money is parsed again, with exact digits.
                self.usage = read_usage(_exact_usage(event, usage)) or self.usage
            else:
                self.usage = read_usage(usage) or self.usage


_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking", "thought")


def _check_values(event: bytes) -> None:
    """Raises ProviderError for an event with too many values, before it is parsed. Commas in its
    text count as well; no text has that many."""
    if event.count(b",") + event.count(b"{") + event.count(b"[") > MAX_EVENT_VALUES:
        raise ProviderError("bad_stream")


def _documents(text: str) -> list[object]:
    """All JSON documents in a text. Raises ProviderError if one is damaged."""
    decoder, documents, at = json.JSONDecoder(), [], 0
    try:
        while at < len(text):
            document, at = decoder.raw_decode(text, at)
            documents.append(document)
            while at < len(text) and (text[at].isspace() or text[at] == ","):
                at += 1
    except ValueError:
        raise ProviderError("bad_stream") from None
    return documents


def _exact_usage(event: bytes, usage: dict[str, Any]) -> dict[str, Any]:
    """The `usage` with exact decimal numbers; without its cost if that cannot be parsed."""
    try:
        chunk = json.loads(event.decode(errors="replace"), parse_float=Decimal)
        exact = chunk["usage"]
    except (ValueError, ArithmeticError, KeyError, TypeError, RecursionError):
        exact = None
    return exact if isinstance(exact, dict) else usage | {"cost": None}


def _join_halves(text: str, final: bool) -> tuple[str, str]:
    """(text with its surrogate pairs joined, a first half at its end that waits for the second)."""
    half = ""
    if text and not final and "\ud800" <= text[-1] <= "\udbff":
        text, half = text[:-1], text[-1]
    return _LONE_SURROGATE.sub("\ufffd", _SURROGATE_PAIR.sub(_joined_pair, text)), half


def _joined_pair(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")
