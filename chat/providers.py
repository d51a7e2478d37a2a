"""Calling a model: the only file that imports `openai`.

The library gives authentication, request encoding and error classes; the body of the stream is read
here, because its own stream objects cost 100 to 190 us a chunk. One attempt per call: the worker
retries, where every attempt is written down and bounded. Nothing of a provider's text gets out of
here but the answer.
"""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncGenerator
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2
import openai
from django.conf import settings

from chat.answer_stream import AnswerStream, Delta, Finish, Seam
from chat.continuation import AskSeam, PrefillSeam, ask_turns, prefill_turns
from chat.endpoints import OPENAI_URL, Endpoint, Model
from chat.model_errors import ProviderError, classify
from chat.model_http import StreamTransport
from chat.prompt import Prompt

__all__ = ["Delta", "Finish", "close_clients", "means_for", "stream_answer"]

MAX_CONNECTIONS = 2000
MIN_TELLING_CHARS = 40  # a partial answer this long is not repeated by chance


def means_for(model: Model, partial: str) -> Literal["prefill", "ask", "restart"]:
    """How an attempt with this partial answer goes on: "prefill", "ask" or "restart".

    "restart" when no text is there yet; reasoning that is there is kept by the caller, and the
    model thinks and answers anew.
    """
    if not partial.strip():
        return "restart"
    return "ask" if _key(model) in _refuses_prefill else model.continuation


async def stream_answer(
    model: Model,
    prompt: Prompt,
    *,
    partial: str = "",
    max_tokens: int | None = None,
    temperature: float | None = None,
) -> AsyncGenerator[Delta | Finish]:
    """The answer, or with `partial` the rest of it, in pieces; a Finish comes last.

    Raises ProviderError. Closing it, or cancelling the task that waits in it, cuts the connection
    at once, which stops the model.
    """
    limits: dict[str, Any] = {}
    if temperature is not None:
        limits["temperature"] = temperature
    if max_tokens is not None:
        own = model.endpoint.base_url == OPENAI_URL  # which has renamed it
        limits["max_completion_tokens" if own else "max_tokens"] = max_tokens
    call = _Call(model, prompt, partial, limits)
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

    def __init__(self, model: Model, prompt: Prompt, partial: str, limits: dict[str, Any]) -> None:
        self.model, self.prompt, self.partial, self.limits = model, prompt, partial, limits
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
            seam = self._seam(means)
            stream = AnswerStream(
                response, seam, self.partial, self.prompt.prompt_tokens, self.begun
            )
            async with contextlib.aclosing(stream.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        finish = stream.finish()
        self._remember_echo(seam)
        yield finish

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
        return request | self.limits | {"messages": turns, "extra_body": extra or None}

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

    def _seam(self, means: str) -> Seam | None:
        if means == "ask":
            return AskSeam(self.partial)
        if means == "prefill":
            echoes = self.model.echoes_prefill
            if echoes is None and len(self.partial) < MIN_TELLING_CHARS:
                echoes = _echo_found.get(_key(self.model))
            return PrefillSeam(self.partial, echoes)
        return PrefillSeam(self.partial, False) if self.partial else None  # white space alone

    def _remember_echo(self, seam: Seam | None) -> None:
        """For a short partial answer, which alone would not tell."""
        if seam is None or seam.echoed is None or len(self.partial) < MIN_TELLING_CHARS:
            return
        if len(_echo_found) < _MAX_LEARNED:
            _echo_found[_key(self.model)] = seam.echoed
