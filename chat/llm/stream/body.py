"""The body of one answer, from bytes to text and reasoning, with its time limits.

What one network read brought comes out as one Delta, however many chunks it held.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

import httpx2
import orjson
from django.conf import settings

from billing.token_usage import TokenUsage
from chat.llm.continuation import AskSeam, PrefillSeam
from chat.llm.errors import ProviderError
from chat.llm.stream import finish_reasons
from chat.llm.stream.chunks import FEW_BYTES, ChunkReader
from chat.llm.stream.sse import EventSplitter, TooLongError, WebPageError
from chat.llm.stream.think_tags import ThinkSplitter
from chat.llm.tokens import estimated_usage, is_too_little
from chat.transcript import Pieces

MAX_DELTA_CHARS = 16_384  # a larger piece is given out in several
PIECE_BYTES = 16 * 1024  # of a body, read between two turns of the event loop
EVENTS_AT_ONCE = 100  # of them, so many
# A body may have so many bytes in which there is no text, and more for each byte of the answer:
# pings and chunks of single letters are far below.
MAX_BARREN_BYTES = 16_000_000
MAX_BYTES_PER_BYTE = 2_048
# Comments (": OPENROUTER PROCESSING") show that the provider lives, but not for ever: the time
# without a token may be so many times longer than without a sign of life.
COMMENT_PATIENCE = 5
DRAIN_TIMEOUT_S = 0.02
MAX_DRAIN_BYTES = 64 * 1024
TRAILER_TIMEOUT_S = 2.0  # for the usage and [DONE] that may follow a finish reason

# What stands at the end of a whole answer: a sentence's end, with what may close after it, or code.
_SENTENCE_END = re.compile(
    r"([.!?\u2026\u3002\uff01\uff1f\u061f\u0964][)\]}\"'\u201d\u2019\u00bb\u300d*_`]*|```)\s*\Z"
)

_NOTHING = [("", "")]  # of `Chunks.take`

Seam = PrefillSeam | AskSeam
Pairs = list[tuple[str, str]]  # (thinking, content that came after it)


@dataclass(slots=True)  # One is made for each read, and frozen ones take three times as long.
class Delta:
    """What one network read brought, at least one of both.

    `text_kept`: what the answer held beyond its first so many bytes was thinking; `reasoning` has
    it, and `text` goes on after them.
    """

    text: str = ""
    reasoning: str = ""
    text_kept: int | None = None

    def after(self, before: "Delta") -> "Delta":
        """Both as one, for who gathers the whole of a first attempt."""
        text = before.text
        if self.text_kept is not None:
            text = text.encode()[: self.text_kept].decode(errors="ignore")
        return Delta(text + self.text, before.reasoning + self.reasoning)


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer has ended in order: chat/llm/stream/finish_reasons.py. It may hold no text all the
    same. `omitted`: kinds of what it held besides: "image", "audio", "tool_call", ..."""

    reason: str
    usage: TokenUsage | None
    omitted: tuple[str, ...] = ()


class AnswerStream:
    """The body of one answer: bytes -> events -> chunks -> answer and reasoning -> seam."""

    def __init__(
        self,
        response: httpx2.Response,
        seam: Seam | None,
        partial: str,
        prompt_tokens: int,
        begun: float,
        think: ThinkSplitter | None = None,
        kept_bytes: int = 0,
    ) -> None:
        """`begun`: when the call began, by the event loop's clock. `kept_bytes`: as stored, of what
        the answer has already, `partial` included."""
        self.response, self.seam = response, seam
        self.partial, self.prompt_tokens = partial, prompt_tokens
        self.loop = asyncio.get_running_loop()
        self.splitter, self.chunks = EventSplitter(), ChunkReader()
        self.think = think or ThinkSplitter()
        self.text = Pieces()  # of this call only: for an estimate, and to know of emptiness
        self.reasoning = Pieces()
        self.size = self._kept_bytes = kept_bytes  # as stored
        self._body_bytes = 0
        self._ahead, self._ahead_at = b"", 0  # of a large piece, what is still to be read
        self._is_long = False  # an event that came since the last `take` was long
        self.last_token = begun
        self.finished_at: float | None = None
        self.is_ended = False  # the body came to its end

    @property
    def is_full(self) -> bool:
        """A model that never stops is stopped here, as by its own limit."""
        return self.size >= settings.MAX_ANSWER_BYTES

    async def deltas(self) -> AsyncGenerator[Delta]:
        pieces = self.response.aiter_bytes()
        try:
            while not self.chunks.done and not self.is_full:
                piece = await self._next(pieces)
                failure = await self._take(piece)
                async for delta in self._new():
                    yield delta
                if failure is not None and not self.chunks.is_finished:
                    raise failure
                if failure is not None or not piece:
                    break
        except ProviderError as error:
            error.usage = self._told_usage()
            raise
        if self._reason() and not self.is_full:  # what a cut leaves undecided comes once more
            for delta in self._last():
                yield delta
        if self.chunks.done:
            await _drain(pieces)

    def finish(self) -> Finish:
        """After `deltas`. Raises where a stream ended without having said that it would, or where
        the provider says that it broke off."""
        text, reasoning = str(self.text), str(self.reasoning)
        reason = "length" if self.is_full else self._reason()
        has_text = bool(text.strip())
        if not self.is_full and (error := self._failure(reason, has_text, bool(reasoning))):
            error.usage = self._told_usage()
            raise error
        assert reason is not None
        omitted = [*self.chunks.omitted]
        if self.think.has_called and "tool_call" not in omitted:
            omitted.append("tool_call")
        usage = self._told_usage() or estimated_usage(self.prompt_tokens, text, reasoning)
        return Finish(reason, usage, tuple(omitted))

    def _failure(
        self, reason: str | None, has_text: bool, has_thought: bool
    ) -> ProviderError | None:
        if not self.chunks.seen:
            is_rubbish = self.chunks.rubbish or self.splitter.rubbish
            return ProviderError("bad_stream" if is_rubbish else "empty_answer", max_fruitless=2)
        if reason is None:
            code = "stream_cut" if has_text or has_thought or self.partial else "empty_answer"
            return ProviderError(code, max_fruitless=2, ended=True)
        if not finish_reasons.is_broken(reason):
            return None
        if has_text or self.partial:
            return ProviderError("stream_cut", max_fruitless=3)
        return ProviderError("provider_down", permanent=True)

    def _reason(self) -> str | None:
        """Why the answer has ended; None when it was cut.

        A body that ends in order after a whole sentence, from a server that says neither why nor
        that it is done, is taken for whole, and said to be so taken.
        """
        if self.chunks.finish or self.chunks.done:
            return self.chunks.finish or "stop"
        words = self.reasoning if self.think.is_assumed else self.text
        if self.is_ended and _SENTENCE_END.search(str(words)[-100:]):
            return finish_reasons.UNKNOWN
        return None

    def _told_usage(self) -> TokenUsage | None:
        """What the provider says it used, if that can be."""
        usage = self.chunks.usage
        written = len(str(self.text)) + len(str(self.reasoning))
        return None if usage is None or is_too_little(usage, written) else usage

    async def _take(self, piece: bytes) -> ProviderError | None:
        """Takes in what came; b"" is the end. A fault is given back, as good chunks may precede."""
        try:
            events = self.splitter.feed(piece) if piece else self.splitter.flush()
            await self._read(events)
        except WebPageError:
            return ProviderError("bad_stream", permanent=True)
        except TooLongError:
            return ProviderError("bad_stream")
        except ProviderError as error:
            # Half a chunk at the end: the stream was cut there.
            return error if piece or error.code != "bad_stream" else None
        return None

    async def _read(self, events: list[bytes]) -> None:
        """Some events in each turn of the event loop, and long ones in a thread."""
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

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes:
        """The next bytes, no more than PIECE_BYTES; b"" at the end."""
        if self._ahead_at < len(self._ahead):
            await asyncio.sleep(0)
        else:
            self._ahead, self._ahead_at = await self._receive(pieces), 0
            self._check_body(len(self._ahead))
        begin, self._ahead_at = self._ahead_at, self._ahead_at + PIECE_BYTES
        return self._ahead[begin : self._ahead_at]

    def _check_body(self, size: int) -> None:
        self._body_bytes += size
        given_bytes = self.size - self._kept_bytes
        if self._body_bytes > MAX_BARREN_BYTES + MAX_BYTES_PER_BYTE * given_bytes:
            raise ProviderError("bad_stream", permanent=True)

    async def _receive(self, pieces: AsyncIterator[bytes]) -> bytes:
        """What the network brings; b"" at the end. A cut or silence after the finish reason is no
        loss."""
        try:
            async with asyncio.timeout_at(self._deadline()):
                if not (piece := await anext(pieces, b"")):
                    self.is_ended = True
                return piece
        except TimeoutError:
            code = "stream_stalled" if self.text or self.reasoning else "provider_timeout"
        except httpx2.DecodingError:
            code = "bad_stream"
        except httpx2.TransportError:
            code = "stream_cut"
        if self.chunks.is_finished or (self.chunks.finish and not self.chunks.has_lied):
            return b""
        if self.chunks.finish and code == "stream_stalled":
            return b""
        raise ProviderError(code)

    def _deadline(self) -> float:
        now = self.loop.time()
        if self.chunks.finish and self.chunks.is_finished:
            self.finished_at = self.finished_at or now
            return self.finished_at + TRAILER_TIMEOUT_S
        begun = bool(self.text or self.reasoning)
        limit_ms = (
            settings.MODEL_STALL_TIMEOUT_MS if begun else settings.MODEL_FIRST_TOKEN_TIMEOUT_MS
        )
        return min(now + limit_ms / 1000, self.last_token + COMMENT_PATIENCE * limit_ms / 1000)

    async def _new(self) -> AsyncGenerator[Delta]:
        is_long, self._is_long = self._is_long, False
        pairs = await asyncio.to_thread(self.chunks.take) if is_long else self.chunks.take()
        if pairs == _NOTHING:
            return
        self.last_token = self.loop.time()
        for place, batch in enumerate(_batches(pairs)):
            if place:
                await asyncio.sleep(0)
            text, thought, kept = self._told_apart(batch)
            if self.seam:
                text = self.seam.feed(text)
            for delta in self._deltas(text, thought, kept):
                yield delta

    def _last(self) -> Iterator[Delta]:
        """What the end decides."""
        text, thought, kept = self._told_apart(self.chunks.take(final=True))
        rest, last = self._rest()
        text, thought = text + rest, thought + last
        if self.seam:
            text = self.seam.feed(text) + self.seam.flush()
        return self._deltas(text, thought, kept)

    def _told_apart(self, pairs: Pairs) -> tuple[str, str, int | None]:
        """(answer, thinking, bytes of the answer that stay where some of it turned out to be
        thinking). However many chunks came at once, the same as if each had come by itself."""
        answer, thinking, kept = "", "", None
        for thought, content in pairs:
            if thought:
                self.think.has_fields = True
            text, more = self.think.feed(content)
            if self.think.recast:
                kept, more = self._recast(more)
                answer = ""  # It is in `more`.
            answer, thinking = answer + text, thinking + thought + more
        return answer, thinking, kept

    def _rest(self) -> tuple[str, str]:
        """What was still held. A model that was known to think first and has not, has answered."""
        is_assumed = self.think.is_assumed
        rest, last = self.think.flush()
        is_over = self._reason() in ("stop", finish_reasons.UNKNOWN)
        if is_assumed and is_over and not self.think.has_fields:
            rest = str(self.reasoning) + last
            self.reasoning.set("")
        return rest, last

    def _recast(self, thought: str) -> tuple[int, str]:
        """What this call gave out as the answer was thinking; if it went on with the answer, that
        was as well. (bytes of the answer that stay, the thinking)."""
        self.text.set("")
        if isinstance(self.seam, PrefillSeam):
            self.seam = None
            return 0, (self.partial + thought).strip()
        self.seam = AskSeam(self.partial) if self.seam else None
        return len(self.partial.encode()), thought

    def _deltas(self, text: str, thought: str, kept: int | None) -> Iterator[Delta]:
        """As many as there is room for in the answer."""
        for delta in _in_deltas(text, thought, kept):
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
    """What a text takes in the log, where a control character is six bytes and a line end two."""
    return len(orjson.dumps(text)) - 2


def _in_deltas(text: str, thought: str, kept: int | None) -> list[Delta]:
    if len(text) <= MAX_DELTA_CHARS and len(thought) <= MAX_DELTA_CHARS:
        return [Delta(text, thought, kept)] if text or thought or kept is not None else []
    first = [] if kept is None else [Delta(text_kept=kept)]
    thoughts = [Delta(reasoning=part) for part in _parts(thought)]
    return [*first, *thoughts, *(Delta(part) for part in _parts(text))]


def _batches(pairs: Pairs) -> Iterator[Pairs]:
    """Cut so that each holds about MAX_DELTA_CHARS at most."""
    batch: Pairs = []
    chars = 0
    for thought, content in pairs:
        parts = [(thought, content)]
        if len(thought) + len(content) > MAX_DELTA_CHARS:
            parts = [*((part, "") for part in _parts(thought)), *(("", p) for p in _parts(content))]
        for part in parts:
            chars += len(part[0]) + len(part[1])
            if batch and chars > MAX_DELTA_CHARS:
                yield batch
                batch, chars = [], len(part[0]) + len(part[1])
            batch.append(part)
    yield batch


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads to the end of the body, if it is near, so that the connection can be used again."""
    left_bytes = MAX_DRAIN_BYTES
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while left_bytes > 0 and (piece := await anext(pieces, b"")):
                left_bytes -= len(piece)


def _parts(text: str) -> list[str]:
    return [text[at : at + MAX_DELTA_CHARS] for at in range(0, len(text), MAX_DELTA_CHARS)]
