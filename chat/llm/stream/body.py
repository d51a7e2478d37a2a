"""Reads the body of a streaming response into text and reasoning, with time and size limits.

The chunks of one network read become one Delta.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx2
import orjson
from django.conf import settings

from billing.token_usage import TokenUsage
from chat.llm.continuation import AskSeam, PrefillSeam
from chat.llm.errors import ProviderError
from chat.llm.stream import finish_reasons
from chat.llm.stream.chunks import FEW_BYTES, ChunkReader
from chat.llm.stream.sound_data import ms_of
from chat.llm.stream.sse import (
    MAX_EVENT_BYTES,
    MAX_PICTURE_EVENT_BYTES,
    MAX_SOUND_EVENT_BYTES,
    EventSplitter,
    TooLongError,
    WebPageError,
)
from chat.llm.stream.think_tags import ThinkSplitter
from chat.llm.tokens import estimated_usage, is_implausible
from chat.transcript import Pieces

MAX_DELTA_CHARS = 16_384  # A longer text is split into several deltas.
# The bytes and events of a body that are read before the event loop runs other tasks.
PIECE_BYTES = 16 * 1024
EVENTS_AT_ONCE = 100
# The bytes without text that a body may have, and more for each byte of the answer. Pings and
# chunks of single letters stay far below.
MAX_BYTES_WITHOUT_TEXT = 16_000_000
MAX_BODY_BYTES_PER_ANSWER_BYTE = 2_048
# Comments (": OPENROUTER PROCESSING") show that the provider is alive, so with them the time limit
# without a token is this many times longer.
COMMENT_TIMEOUT_FACTOR = 5
# A picture takes a model minutes, in which some send nothing.
PICTURE_TIMEOUT_FACTOR = 5
# The bytes that all pictures of an answer may add to a body.
MAX_PICTURES_BYTES = 210_000_000
# Likewise ten minutes of sound, with the JSON around it.
MAX_SOUND_BODY_BYTES = 80_000_000
DRAIN_TIMEOUT_S = 0.02
MAX_DRAIN_BYTES = 64 * 1024
TRAILER_TIMEOUT_S = 2.0  # for the usage and [DONE] that may follow a finish reason

# The end of a complete answer: the end of a sentence, possibly with closing quotes or brackets, or
# of a code block.
_SENTENCE_END = re.compile(
    r"([.!?\u2026\u3002\uff01\uff1f\u061f\u0964][)\]}\"'\u201d\u2019\u00bb\u300d*_`]*|```)\s*\Z"
)

_NOTHING = [("", "")]  # the result of `ChunkReader.take` if there is no text

Seam = PrefillSeam | AskSeam
Pairs = list[tuple[str, str]]  # (thinking, content that came after it)


@dataclass(slots=True)  # Not frozen: one is made per read, and frozen ones take 3 times as long.
class Delta:
    """The text and the reasoning of one network read, or pictures, or sound; at least one is not
    empty.

    `pictures`: decoded and unchecked. `sound`: whole samples (chat/llm/stream/sound_data.py).
    `text_kept`: the answer beyond its first `text_kept` bytes (UTF-8) turned out to be thinking. It
    is in `reasoning`, and `text` follows those bytes.
    """

    text: str = ""
    reasoning: str = ""
    text_kept: int | None = None
    pictures: list[bytearray] = field(default_factory=list)
    sound: bytes = b""

    def after(self, before: "Delta") -> "Delta":
        """Both deltas as one, for collecting the whole text of a call."""
        text = before.text
        if self.text_kept is not None:
            text = text.encode()[: self.text_kept].decode(errors="ignore")
        return Delta(text + self.text, before.reasoning + self.reasoning)


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer has ended, for a reason of chat/llm/stream/finish_reasons.py. It may be without
    text. `omitted`: kinds of content that were not taken: "image", "audio", "tool_call", ..."""

    reason: str
    usage: TokenUsage | None
    omitted: tuple[str, ...] = ()


class AnswerStream:
    """Reads one body: bytes -> events -> chunks -> answer and reasoning -> seam -> deltas."""

    def __init__(
        self,
        response: httpx2.Response,
        seam: Seam | None,
        partial: str,
        prompt_tokens: int,
        started_at: float,
        think: ThinkSplitter | None = None,
        kept_bytes: int = 0,
        *,
        takes_pictures: bool = False,
        takes_sound: bool = False,
        sound_tokens: int = 0,
    ) -> None:
        """`started_at`: the event loop time at which the call began. `kept_bytes`: the stored size
        of the answer so far, `partial` included. `sound_tokens`: those of the prompt's tokens that
        are of sound."""
        self.response, self.seam = response, seam
        self.partial, self.prompt_tokens = partial, prompt_tokens
        self.loop = asyncio.get_running_loop()
        self._takes_pictures, self._takes_sound = takes_pictures, takes_sound
        self._sound_tokens = sound_tokens
        most_bytes = MAX_SOUND_EVENT_BYTES if takes_sound else MAX_EVENT_BYTES
        self.splitter = EventSplitter(MAX_PICTURE_EVENT_BYTES if takes_pictures else most_bytes)
        self.chunks = ChunkReader(takes_pictures=takes_pictures, takes_sound=takes_sound)
        self.think = think or ThinkSplitter()
        self.text = Pieces()  # of this call only
        self.reasoning = Pieces()
        self.size = self._kept_bytes = kept_bytes  # stored size
        self._body_bytes = 0
        self._received, self._received_at = b"", 0  # the last network read, and how far it is read
        self._is_long = False  # A long event came since the last `take`.
        self.last_token_at = started_at
        self.finished_at: float | None = None
        self.is_ended = False  # The body was read to its end.

    @property
    def is_full(self) -> bool:
        """Whether the answer has reached its maximum size. It then ends with "length"."""
        return self.size >= settings.MAX_ANSWER_BYTES

    async def deltas(self) -> AsyncGenerator[Delta]:
        pieces = self.response.aiter_bytes()
        try:
            while not self.chunks.done and not self.is_full:
                piece = await self._next_piece(pieces)
                failure = await self._feed(piece)
                async for delta in self._new_deltas():
                    yield delta
                if failure is not None and not self.chunks.is_finished:
                    raise failure
                if failure is not None or not piece:
                    break
        except ProviderError as error:
            error.usage = self._reported_usage()
            raise
        # After a cut, the text still held back is not part of the answer: the model repeats it.
        if self._reason() and not self.is_full:
            for delta in self._last_deltas():
                yield delta
        if self.chunks.done:
            await _drain(pieces)

    def finish(self) -> Finish:
        """The Finish, after `deltas`. Raises ProviderError if the stream ended without a reason, or
        because the provider failed."""
        text, reasoning = str(self.text), str(self.reasoning)
        reason = "length" if self.is_full else self._reason()
        pictures, spoken_ms = self.chunks.picture_count, ms_of(self.chunks.sound_bytes)
        has_text = bool(text.strip() or pictures or spoken_ms)
        if not self.is_full and (error := self._failure(reason, has_text, bool(reasoning))):
            error.usage = self._reported_usage()
            raise error
        assert reason is not None
        omitted = [*self.chunks.omitted]
        if self.think.has_called and "tool_call" not in omitted:
            omitted.append("tool_call")
        output = (text, reasoning, pictures, spoken_ms)
        counted = (self.prompt_tokens, *output, self._sound_tokens)
        usage = self._reported_usage() or estimated_usage(*counted)
        return Finish(reason, usage, tuple(omitted))

    def _failure(
        self, reason: str | None, has_text: bool, has_thought: bool
    ) -> ProviderError | None:
        if not self.chunks.seen:
            has_ignored = self.chunks.ignored or self.splitter.ignored
            return ProviderError("bad_stream" if has_ignored else "empty_answer", max_fruitless=2)
        if reason is None:
            code = "stream_cut" if has_text or has_thought or self.partial else "empty_answer"
            return ProviderError(code, max_fruitless=2, ended=True)
        if not finish_reasons.is_provider_failure(reason):
            return None
        if has_text or self.partial:
            return ProviderError("stream_cut", max_fruitless=3)
        return ProviderError("provider_down", permanent=True)

    def _reason(self) -> str | None:
        """Why the answer has ended; None if it was cut.

        If the body ends normally after a whole sentence, without a finish reason or [DONE], the
        answer is assumed to be complete, with the reason "unknown".
        """
        if self.chunks.finish or self.chunks.done:
            return self.chunks.finish or "stop"
        words = self.reasoning if self.think.is_assumed else self.text
        is_whole = _SENTENCE_END.search(str(words)[-100:]) or (
            (self.chunks.picture_count or self.chunks.sound_bytes) and not words
        )
        if self.is_ended and is_whole:
            return finish_reasons.UNKNOWN
        return None

    def _reported_usage(self) -> TokenUsage | None:
        """The usage that the provider reported, if it is plausible."""
        usage = self.chunks.usage
        written = len(str(self.text)) + len(str(self.reasoning))
        return None if usage is None or is_implausible(usage, written) else usage

    async def _feed(self, piece: bytes) -> ProviderError | None:
        """Reads bytes of the body; b"" is the end. Returns an error instead of raising it, because
        valid chunks may precede it."""
        try:
            events = self.splitter.feed(piece) if piece else self.splitter.flush()
            await self._read(events)
        except WebPageError:
            return ProviderError("bad_stream", permanent=True)
        except TooLongError:
            return ProviderError("bad_stream")
        except ProviderError as error:
            # An incomplete chunk at the end means that the stream was cut there.
            return error if piece or error.code != "bad_stream" else None
        return None

    async def _read(self, events: list[bytes]) -> None:
        """Reads the events in groups, between which other tasks run, and long ones in a thread."""
        for begin in range(0, len(events), EVENTS_AT_ONCE):
            if begin:
                await asyncio.sleep(0)
            few = events[begin : begin + EVENTS_AT_ONCE]
            if any(len(event) > FEW_BYTES for event in few):
                self._is_long = True
                await asyncio.to_thread(self.chunks.feed, few)
            else:
                self.chunks.feed(few)
            if self.chunks.done:
                return

    async def _next_piece(self, pieces: AsyncIterator[bytes]) -> bytes:
        """The next bytes, at most PIECE_BYTES; b"" at the end."""
        if self._received_at < len(self._received):
            await asyncio.sleep(0)
        else:
            self._received, self._received_at = await self._receive(pieces), 0
            self._check_body(len(self._received))
        begin, self._received_at = self._received_at, self._received_at + PIECE_BYTES
        return self._received[begin : self._received_at]

    def _check_body(self, size: int) -> None:
        self._body_bytes += size
        answer_bytes = self.size - self._kept_bytes
        limit = MAX_BYTES_WITHOUT_TEXT + MAX_BODY_BYTES_PER_ANSWER_BYTE * answer_bytes
        limit += MAX_PICTURES_BYTES if self._takes_pictures else 0
        limit += MAX_SOUND_BODY_BYTES if self._takes_sound else 0
        if self._body_bytes > limit:
            raise ProviderError("bad_stream", permanent=True)

    async def _receive(self, pieces: AsyncIterator[bytes]) -> bytes:
        """The bytes of the next network read; b"" at the end. After the finish reason, a cut or
        silence counts as the end."""
        try:
            async with asyncio.timeout_at(self._deadline()):
                if not (piece := await anext(pieces, b"")):
                    self.is_ended = True
                return piece
        except TimeoutError:
            code = "stream_stalled" if self._has_begun else "provider_timeout"
        except httpx2.DecodingError:
            code = "bad_stream"
        except httpx2.TransportError:
            code = "stream_cut"
        if self.chunks.is_finished or (
            self.chunks.finish and not self.chunks.has_text_after_finish
        ):
            return b""
        if self.chunks.finish and code == "stream_stalled":
            return b""
        raise ProviderError(code)

    def _deadline(self) -> float:
        now = self.loop.time()
        if self.chunks.finish and self.chunks.is_finished:
            self.finished_at = self.finished_at or now
            return self.finished_at + TRAILER_TIMEOUT_S
        limit_ms: int = (
            settings.MODEL_STALL_TIMEOUT_MS
            if self._has_begun
            else settings.MODEL_FIRST_TOKEN_TIMEOUT_MS
        )
        if self._takes_pictures:
            limit_ms *= PICTURE_TIMEOUT_FACTOR
        return min(
            now + limit_ms / 1000, self.last_token_at + COMMENT_TIMEOUT_FACTOR * limit_ms / 1000
        )

    @property
    def _has_begun(self) -> bool:
        has_other = self.chunks.picture_count or self.chunks.sound_bytes
        return bool(self.text or self.reasoning or has_other)

    async def _new_deltas(self) -> AsyncGenerator[Delta]:
        async for delta in self._new_text():
            yield delta
        if pictures := self.chunks.pop_pictures():
            self.last_token_at = self.loop.time()
            yield Delta(pictures=pictures)
        if sound := self.chunks.pop_sound():
            self.last_token_at = self.loop.time()
            yield Delta(sound=sound)

    async def _new_text(self) -> AsyncGenerator[Delta]:
        is_long, self._is_long = self._is_long, False
        pairs = await asyncio.to_thread(self.chunks.take) if is_long else self.chunks.take()
        if pairs == _NOTHING:
            return
        self.last_token_at = self.loop.time()
        for place, batch in enumerate(_to_batches(pairs)):
            if place:
                await asyncio.sleep(0)
            text, thought, kept = self._split_thinking(batch)
            if self.seam:
                text = self.seam.feed(text)
            for delta in self._deltas(text, thought, kept):
                yield delta

    def _last_deltas(self) -> Iterator[Delta]:
        """The deltas of the text that was held back until the end of the body."""
        text, thought, kept = self._split_thinking(self.chunks.take(final=True))
        rest, last_thought = self._flush_thinking()
        text, thought = text + rest, thought + last_thought
        if self.seam:
            text = self.seam.feed(text) + self.seam.flush()
        return self._deltas(text, thought, kept)

    def _split_thinking(self, pairs: Pairs) -> tuple[str, str, int | None]:
        """(answer, thinking, `Delta.text_kept`). The result does not depend on how many chunks came
        at once."""
        answer, thinking, kept = "", "", None
        for thought, content in pairs:
            if thought:
                self.think.has_fields = True
            text, more = self.think.feed(content)
            if self.think.recast:
                kept, more = self._recast(more)
                answer = ""  # `more` contains it.
            answer, thinking = answer + text, thinking + thought + more
        return answer, thinking, kept

    def _flush_thinking(self) -> tuple[str, str]:
        """(answer, thinking) that was still held back.

        If everything was only assumed to be thinking and the model stopped, it was the answer.
        """
        is_assumed = self.think.is_assumed
        rest, thought = self.think.flush()
        is_over = self._reason() in ("stop", finish_reasons.UNKNOWN)
        if is_assumed and is_over and not self.think.has_fields:
            rest = str(self.reasoning) + thought
            self.reasoning.set("")
        return rest, thought

    def _recast(self, thought: str) -> tuple[int, str]:
        """(bytes of the answer that are kept, the thinking), after the answer of this call turned
        out to be thinking. If the call was prefilled, so was the partial answer."""
        self.text.set("")
        if isinstance(self.seam, PrefillSeam):
            self.seam = None
            return 0, (self.partial + thought).strip()
        self.seam = AskSeam(self.partial) if self.seam else None
        return len(self.partial.encode()), thought

    def _deltas(self, text: str, thought: str, kept: int | None) -> Iterator[Delta]:
        """The deltas that fit into the answer's maximum size."""
        for delta in _to_deltas(text, thought, kept):
            if self.is_full and delta.text_kept is None:
                return
            if delta.text:
                self.text.add(delta.text)
                self.size += stored_bytes(delta.text)
            if delta.reasoning:
                self.reasoning.add(delta.reasoning)
                self.size += stored_bytes(delta.reasoning)
            yield delta


def stored_bytes(text: str) -> int:
    """The size of a text in the log, as JSON (a line end takes two bytes)."""
    return len(orjson.dumps(text)) - 2


def _to_deltas(text: str, thought: str, kept: int | None) -> list[Delta]:
    if len(text) <= MAX_DELTA_CHARS and len(thought) <= MAX_DELTA_CHARS:
        return [Delta(text, thought, kept)] if text or thought or kept is not None else []
    first = [] if kept is None else [Delta(text_kept=kept)]
    thoughts = [Delta(reasoning=part) for part in _split_text(thought)]
    return [*first, *thoughts, *(Delta(part) for part in _split_text(text))]


def _to_batches(pairs: Pairs) -> Iterator[Pairs]:
    """Splits the pairs into batches of about MAX_DELTA_CHARS at most."""
    batch: Pairs = []
    chars = 0
    for thought, content in pairs:
        parts = [(thought, content)]
        if len(thought) + len(content) > MAX_DELTA_CHARS:
            parts = [
                *((part, "") for part in _split_text(thought)),
                *(("", p) for p in _split_text(content)),
            ]
        for part in parts:
            chars += len(part[0]) + len(part[1])
            if batch and chars > MAX_DELTA_CHARS:
                yield batch
                batch, chars = [], len(part[0]) + len(part[1])
            batch.append(part)
    yield batch


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads the rest of the body, if it is short, so that the connection can be used again."""
    left_bytes = MAX_DRAIN_BYTES
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while left_bytes > 0 and (piece := await anext(pieces, b"")):
                left_bytes -= len(piece)


def _split_text(text: str) -> list[str]:
    return [text[at : at + MAX_DELTA_CHARS] for at in range(0, len(text), MAX_DELTA_CHARS)]
