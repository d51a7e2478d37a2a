"""Calling a model: the only file that imports `openai`.

The library gives authentication, request encoding and error classes; the body of the stream is read
here, because its own stream objects cost 100 to 190 us a chunk. One attempt per call: the worker
retries, where every attempt is written down and bounded. Nothing of a provider's text gets out of
here but the answer.
"""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2
import openai
from django.conf import settings

from chat.chunks import ChunkReader
from chat.continuation import AskSeam, PrefillSeam, ask_turns, prefill_turns
from chat.endpoints import OPENAI_URL, Endpoint, Model
from chat.model_errors import ProviderError, classify
from chat.model_http import StreamTransport
from chat.prompt import Prompt
from chat.reasoning import ThinkSplitter
from chat.sse import EventSplitter, TooLongError
from chat.tokens import Usage, estimated_usage

MAX_DELTA_CHARS = 16_384  # a larger piece is given out in several
MAX_ANSWER_CHARS = 4_000_000  # a model that never stops is stopped here, as by its own limit
MAX_CONNECTIONS = 2000
# Comments (": OPENROUTER PROCESSING") show that the provider lives, but not for ever: the time
# without a token may be so many times longer than without a sign of life.
COMMENT_PATIENCE = 5
DRAIN_TIMEOUT_S = 0.02
MIN_TELLING_CHARS = 40  # a partial answer this long is not repeated by chance
TRAILER_TIMEOUT_S = 2.0  # for the usage and [DONE] that may follow a finish reason


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


def means_for(model: Model, partial: str) -> Literal["prefill", "ask", "restart"]:
    """How an attempt with this partial answer goes on: "prefill", "ask" or "restart".

    "restart" when no text is there yet; reasoning that is there is kept by the caller, and the
    model thinks and answers anew.
    """
    if not partial.strip():
        return "restart"
    return "ask" if _key(model) in _refuses_prefill else model.continuation


async def stream_answer(
    model: Model, prompt: Prompt, *, partial: str = "", max_tokens: int | None = None
) -> AsyncGenerator[Delta | Finish]:
    """The answer, or with `partial` the rest of it, in pieces; a Finish comes last.

    Raises ProviderError. Closing it, or cancelling the task that waits in it, cuts the connection
    at once, which stops the model.
    """
    call = _Call(model, prompt, partial, max_tokens)
    async with contextlib.aclosing(call.deltas()) as deltas:
        async for delta in deltas:
            yield delta


# What was learned about providers by asking them; per process, forgotten with it.
_refuses_prefill: set[tuple[str, str]] = set()
_refuses_stream_options: set[str] = set()
_echo_found: dict[tuple[str, str], bool] = {}
_MAX_LEARNED = 10_000


def _key(model: Model) -> tuple[str, str]:
    return model.endpoint.base_url, model.id


_Clients = dict[Endpoint, openai.AsyncOpenAI]
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()


def _client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """One pool per event loop and endpoint."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if endpoint not in clients:
        connect_s = settings.MODEL_CONNECT_TIMEOUT_MS / 1000
        http = httpx2.AsyncClient(
            transport=None if _proxied(endpoint.base_url) else StreamTransport(connect_s),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
            timeout=httpx2.Timeout(None, connect=connect_s, pool=connect_s),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
        )
        clients[endpoint] = openai.AsyncOpenAI(
            api_key=endpoint.api_key,
            base_url=endpoint.base_url,
            max_retries=0,
            http_client=http,
            default_headers={"X-Title": "Holdfast"} if endpoint.name == "openrouter" else None,
        )
    return clients[endpoint]


def _proxied(url: str) -> bool:
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    through = proxies.get(parts.scheme) or proxies.get("all")
    return bool(through) and not urllib.request.proxy_bypass(parts.hostname or "")


async def close_clients() -> None:
    """Closes this event loop's connections."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


class _Call:
    """One call of a model, with a second try where only the form of the request was refused."""

    def __init__(self, model: Model, prompt: Prompt, partial: str, max_tokens: int | None) -> None:
        self.model, self.prompt, self.partial = model, prompt, partial
        self.max_tokens = max_tokens
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.time()

    async def deltas(self) -> AsyncGenerator[Delta | Finish]:
        """By the time of the Finish everything is given back."""
        async with contextlib.AsyncExitStack() as stack:
            response = None
            for _ in range(3):  # at most two refusals teach something
                means = means_for(self.model, self.partial)
                if (response := await self._open(stack, means)) is not None:
                    break
            if response is None:
                raise ProviderError("bad_request")
            stream = _Stream(self, response, self._seam(means))
            async with contextlib.aclosing(stream.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        yield stream.finish()

    async def _open(self, stack: contextlib.AsyncExitStack, means: str) -> httpx2.Response | None:
        """The response, or None when something was learned and asking again differently helps."""
        client = _client(self.model.endpoint)
        limit_s = settings.MODEL_FIRST_TOKEN_TIMEOUT_MS / 1000
        try:
            async with asyncio.timeout_at(self.begun + limit_s):
                opened = client.chat.completions.with_streaming_response.create(
                    **self._request(means)
                )
                response = await stack.enter_async_context(opened)
                body: httpx2.Response = response.http_response
                return body
        except openai.APIStatusError as e:
            if self._learn(e, means):
                return None
            raise classify(e.status_code, e.body, e.response.headers) from e
        except (openai.APITimeoutError, TimeoutError) as e:
            raise ProviderError("provider_timeout") from e
        except openai.APIConnectionError as e:
            raise ProviderError("provider_down") from e
        except openai.OpenAIError as e:
            raise ProviderError("bad_request") from e

    def _request(self, means: str) -> dict[str, Any]:
        turns = [dict(turn) for turn in self.prompt.messages]
        request: dict[str, Any] = {"model": self.model.provider_name, "stream": True}
        extra: dict[str, Any] = {}
        if means == "prefill":
            turns = prefill_turns(turns, self.partial)
            extra |= self.model.prefill_extra
        elif means == "ask":
            turns = ask_turns(turns, self.partial)
        if self.model.endpoint.base_url not in _refuses_stream_options:
            request["stream_options"] = {"include_usage": True}
        if self.model.endpoint.name == "openrouter":
            extra["usage"] = {"include": True}
        if self.max_tokens is not None:
            openai_own = self.model.endpoint.base_url == OPENAI_URL
            name = "max_completion_tokens" if openai_own else "max_tokens"
            request[name] = self.max_tokens
        return request | {"messages": turns, "extra_body": extra or None}

    def _learn(self, error: openai.APIStatusError, means: str) -> bool:
        """Whether this refusal was about the form of the request, which is now known."""
        if error.status_code not in (400, 422):
            return False
        endpoint = self.model.endpoint.base_url
        text = str(error.body).lower()
        if "stream_options" in text or "include_usage" in text:
            known = endpoint in _refuses_stream_options
            _refuses_stream_options.add(endpoint)
            return not known
        plain_refusal = classify(error.status_code, error.body).code == "bad_request"
        if means == "prefill" and plain_refusal and len(_refuses_prefill) < _MAX_LEARNED:
            _refuses_prefill.add(_key(self.model))
            return True
        return False

    def _seam(self, means: str) -> PrefillSeam | AskSeam | None:
        if means == "ask":
            return AskSeam(self.partial)
        if means == "prefill":
            echoes = self.model.echoes_prefill
            known = _echo_found.get(_key(self.model)) if echoes is None else echoes
            return PrefillSeam(self.partial, known)
        return None


class _Stream:
    """The body of one answer: bytes -> events -> chunks -> answer and reasoning -> seam."""

    def __init__(
        self, call: _Call, response: httpx2.Response, seam: PrefillSeam | AskSeam | None
    ) -> None:
        self.call, self.response, self.seam = call, response, seam
        self.loop = call.loop
        self.splitter, self.chunks, self.think = EventSplitter(), ChunkReader(), ThinkSplitter()
        self.whole = bytearray()
        self.text: list[str] = []  # of this call only: for an estimate, and to know of emptiness
        self.reasoning: list[str] = []
        self.size = len(call.partial)
        self.last_token = call.begun

    async def deltas(self) -> AsyncGenerator[Delta]:
        kind = self.response.headers.get("content-type", "")
        if "html" in kind:
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
            self._remember_echo(self.seam)
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

    def _remember_echo(self, seam: PrefillSeam | AskSeam) -> None:
        long_enough = len(self.call.partial) >= MIN_TELLING_CHARS
        if seam.echoed is not None and long_enough and len(_echo_found) < _MAX_LEARNED:
            _echo_found[_key(self.call.model)] = seam.echoed

    def finish(self) -> Finish:
        """After `deltas`. Raises where a stream ended without having said that it would."""
        text, reasoning = "".join(self.text), "".join(self.reasoning)
        reason = self.chunks.finish
        if self.size >= MAX_ANSWER_CHARS:
            reason = "length"
        if reason is None:
            something = text or reasoning or self.call.partial
            raise ProviderError("stream_cut" if something else "empty_answer")
        if reason == "stop" and not text.strip() and not self.call.partial:
            raise ProviderError("empty_answer")
        prompt_tokens = self.call.prompt.prompt_tokens
        usage = self.chunks.usage or estimated_usage(prompt_tokens, text, reasoning)
        return Finish(reason, usage)


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads the end of the body, so that the connection can be used again."""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            await anext(pieces, b"")


def _parts(text: str) -> list[str]:
    return [text[at : at + MAX_DELTA_CHARS] for at in range(0, len(text), MAX_DELTA_CHARS)]
