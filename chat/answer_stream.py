"""The body of one answer, from bytes to text and reasoning, with its time limits.

What one network read brought comes out as one Delta, however many chunks it held.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

import httpx2
from django.conf import settings

from chat.chunks import ChunkReader
from chat.continuation import AskSeam, PrefillSeam
from chat.model_errors import ProviderError
from chat.reasoning import ThinkSplitter
from chat.sse import EventSplitter, TooLongError
from chat.tokens import Usage, estimated_usage, is_too_little

MAX_DELTA_CHARS = 16_384  # a larger piece is given out in several
MAX_ANSWER_CHARS = 4_000_000  # a model that never stops is stopped here, as by its own limit
# Comments (": OPENROUTER PROCESSING") show that the provider lives, but not for ever: the time
# without a token may be so many times longer than without a sign of life.
COMMENT_PATIENCE = 5
DRAIN_TIMEOUT_S = 0.02
MAX_DRAIN_BYTES = 64 * 1024
TRAILER_TIMEOUT_S = 2.0  # for the usage and [DONE] that may follow a finish reason

Seam = PrefillSeam | AskSeam


@dataclass(frozen=True, slots=True)
class Delta:
    """What one network read brought, at least one of both."""

    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer has ended well: "stop", "length", "content_filter", "tool_calls", ..."""

    reason: str
    usage: Usage | None


class AnswerStream:
    """The body of one answer: bytes -> events -> chunks -> answer and reasoning -> seam."""

    def __init__(
        self,
        response: httpx2.Response,
        seam: Seam | None,
        partial: str,
        prompt_tokens: int,
        begun: float,
    ) -> None:
        """`begun`: when the call began, by the event loop's clock."""
        self.response, self.seam = response, seam
        self.partial, self.prompt_tokens = partial, prompt_tokens
        self.loop = asyncio.get_running_loop()
        self.splitter, self.chunks, self.think = EventSplitter(), ChunkReader(), ThinkSplitter()
        self.whole = bytearray()
        self.text: list[str] = []  # of this call only: for an estimate, and to know of emptiness
        self.reasoning: list[str] = []
        self.size = len(partial)
        self.last_token = begun

    async def deltas(self) -> AsyncGenerator[Delta]:
        kind = self.response.headers.get("content-type", "")
        if "html" in kind:  # a wrong address, or a hotel's login page
            raise ProviderError("bad_stream", permanent=True)
        feed = self._take_whole if "application/json" in kind else self._take_events
        pieces = self.response.aiter_bytes()
        while not self.chunks.done and self.size < MAX_ANSWER_CHARS:
            piece = await self._next(pieces)
            failure = feed(piece)
            for delta in self._new():
                yield delta
            if failure:
                raise failure
            if not piece:
                break
        if self.chunks.finish or self.chunks.done:  # what a cut leaves undecided comes once more
            for delta in self._new(final=True):
                yield delta
        if self.chunks.done:
            await _drain(pieces)

    def _take_events(self, piece: bytes) -> ProviderError | None:
        """Takes in what came; b"" is the end. A fault is given back, as good chunks may precede."""
        try:
            self.chunks.feed(self.splitter.feed(piece) if piece else self.splitter.flush())
        except TooLongError:
            return ProviderError("bad_stream")
        except ProviderError as error:
            # Half a chunk at the end: the stream was cut there.
            return error if piece or error.code != "bad_stream" else None
        return None

    def _take_whole(self, piece: bytes) -> ProviderError | None:
        """For a server that does not stream: its one JSON document, at the end."""
        self.whole += piece
        if len(self.whole) > MAX_ANSWER_CHARS:
            return ProviderError("bad_stream")
        if not piece:
            self.chunks.feed([bytes(self.whole)])
        return None

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes:
        """The next bytes; b"" at the end. A cut or silence after the finish reason is no loss."""
        try:
            async with asyncio.timeout_at(self._deadline()):
                return await anext(pieces, b"")
        except TimeoutError:
            code = "stream_stalled" if self.text or self.reasoning else "provider_timeout"
        except httpx2.DecodingError as e:
            raise ProviderError("bad_stream") from e
        except httpx2.TransportError:
            code = "stream_cut"
        if self.chunks.finish:
            return b""
        raise ProviderError(code)

    def _deadline(self) -> float:
        now = self.loop.time()
        if self.chunks.finish:
            return now + TRAILER_TIMEOUT_S
        begun = bool(self.text or self.reasoning)
        limit_ms = (
            settings.MODEL_STALL_TIMEOUT_MS if begun else settings.MODEL_FIRST_TOKEN_TIMEOUT_MS
        )
        return min(now + limit_ms / 1000, self.last_token + COMMENT_PATIENCE * limit_ms / 1000)

    def _new(self, final: bool = False) -> list[Delta]:
        content, thought = self.chunks.take(final)
        if not (content or thought or final):
            return []
        self.last_token = self.loop.time()
        text, more = self.think.feed(content)
        if final:
            rest, last = self.think.flush()
            text, more = text + rest, more + last
        if self.seam:
            text = self.seam.feed(text) + (self.seam.flush() if final else "")
        thought += more
        if text:
            self.text.append(text)
        if thought:
            self.reasoning.append(thought)
        self.size += len(text) + len(thought)
        if not text and not thought:
            return []
        if len(text) <= MAX_DELTA_CHARS and len(thought) <= MAX_DELTA_CHARS:
            return [Delta(text, thought)]
        return [Delta(reasoning=part) for part in _parts(thought)] + [
            Delta(part) for part in _parts(text)
        ]

    def finish(self) -> Finish:
        """After `deltas`. Raises where a stream ended without having said that it would."""
        text, reasoning = "".join(self.text), "".join(self.reasoning)
        reason = self.chunks.finish or ("stop" if self.chunks.done else None)
        if self.size >= MAX_ANSWER_CHARS:
            reason = "length"
        if reason is None:
            something = text or reasoning or self.partial
            raise ProviderError("stream_cut" if something else "empty_answer")
        if reason == "stop" and not text.strip() and not self.partial:
            raise ProviderError("empty_answer")
        usage = self.chunks.usage
        if usage is None or is_too_little(usage, len(text) + len(reasoning)):
            usage = estimated_usage(self.prompt_tokens, text, reasoning)
        return Finish(reason, usage)


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads to the end of the body, if it is near, so that the connection can be used again."""
    left_bytes = MAX_DRAIN_BYTES
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while left_bytes > 0 and (piece := await anext(pieces, b"")):
                left_bytes -= len(piece)


def _parts(text: str) -> list[str]:
    return [text[at : at + MAX_DELTA_CHARS] for at in range(0, len(text), MAX_DELTA_CHARS)]
