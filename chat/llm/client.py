"""Calling a model: the only file that imports `openai`.

The library gives authentication, request encoding and error classes; the body of the stream is read
here, because its own stream objects cost 100 to 190 us a chunk. One attempt per call: the worker
retries, where every attempt is written down and bounded. Nothing of a provider's text gets out of
here but the answer.
"""

import asyncio
import contextlib
import re
import urllib.request
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2
import openai
from django.conf import settings

from accounts.provider_keys.address_filter import (
    AddressRefusedError,
    UnreachableError,
    normal_url,
    resolve,
)
from chat.llm import learned
from chat.llm.continuation import AskSeam, PrefillSeam
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ProviderError, classify
from chat.llm.http.bounded_client import BoundedClient
from chat.llm.http.transport import StreamTransport
from chat.llm.prompt import Prompt
from chat.llm.request_form import MAX_REQUESTS, RequestForm, means_for
from chat.llm.stream.body import AnswerStream, Delta, Finish, Seam, stored_bytes
from chat.llm.stream.think_marks import marks_for
from chat.llm.stream.think_tags import ThinkSplitter

__all__ = ["Delta", "Finish", "close_clients", "means_for", "stream_answer"]

MAX_CONNECTIONS = 2000
LONG_BYTES = 64 * 1024
# Of people's own keys: clients that are kept while nobody uses them, and for how long.
MAX_IDLE_CLIENTS = 100
CLIENT_IDLE_S = 120.0
# Of what a provider answers to a person's own key: nothing else may get into a log line.
USED_HEADERS = frozenset({b"content-type", b"content-encoding", b"retry-after"})
MIN_TELLING_CHARS = 40  # a partial answer this long is not repeated by chance


async def stream_answer(
    model: Model,
    prompt: Prompt,
    *,
    partial: str = "",
    max_tokens: int | None = None,
    temperature: float | None = None,
    person: str = "",
    thought: str = "",
    on_taken: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Delta | Finish]:
    """The answer, or with `partial` the rest of it, in pieces; a Finish comes last.

    `person` is the id of whoever asks. What the text of their answers shows about a model is
    remembered for them alone, because they can have the model write anything.

    `thought` is what the answer has of thinking: its length is bounded with that of the text.

    `on_taken` is called when the provider has taken the call, from when on it may charge for it.
    Raises ProviderError. Closing it, or cancelling the task that waits in it, cuts the connection
    at once, which stops the model.
    """
    kept_bytes = stored_bytes(partial) + stored_bytes(thought)
    if kept_bytes >= settings.MAX_ANSWER_BYTES:
        yield Finish("length", None)
        return
    call = _Call(model, prompt, partial, max_tokens, temperature, person, on_taken, kept_bytes)
    async with contextlib.aclosing(call.deltas()) as deltas:
        async for delta in deltas:
            yield delta


@dataclass(slots=True)
class _Pooled:
    client: openai.AsyncOpenAI
    calls: int = 0  # going on now
    used_at: float = 0.0


# The least recently used first.
_Clients = OrderedDict[Endpoint, _Pooled]
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def _client(endpoint: Endpoint) -> AsyncGenerator[openai.AsyncOpenAI]:
    """One pool of connections per event loop and endpoint. An endpoint is its owner, address and
    key: nobody gets a connection of somebody else's, and none that was made with an older key."""
    loop = asyncio.get_running_loop()
    clients = _clients.setdefault(loop, OrderedDict())
    pooled = clients.get(endpoint)
    if pooled is None:
        pooled = clients[endpoint] = _Pooled(_make_client(endpoint))
    pooled.calls += 1
    try:
        yield pooled.client
    finally:
        pooled.calls -= 1
        pooled.used_at = loop.time()
        if endpoint in clients:
            clients.move_to_end(endpoint)
        await drop_idle_clients()


async def drop_idle_clients() -> None:
    """Close those of people's keys that nobody uses. Their keys are then nowhere in memory."""
    loop = asyncio.get_running_loop()
    clients = _clients.get(loop, OrderedDict())
    idle = [e for e, pooled in clients.items() if e.owner and not pooled.calls]
    too_many = max(len(idle) - MAX_IDLE_CLIENTS, 0)
    old = loop.time() - CLIENT_IDLE_S
    ended = [e for place, e in enumerate(idle) if place < too_many or clients[e].used_at <= old]
    for pooled in [clients.pop(endpoint) for endpoint in ended]:  # Before anything waits.
        await pooled.client.close()


def _make_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    if not re.fullmatch(r"[!-~]+", endpoint.api_key):  # It would break the request's head.
        raise ProviderError("provider_auth")
    connect_s = settings.MODEL_CONNECT_TIMEOUT_MS / 1000
    http = BoundedClient(
        transport=_transport(endpoint, connect_s),
        limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
        cookies=_no_cookies(),
        timeout=httpx2.Timeout(None, connect=connect_s, pool=connect_s),
        headers={"Accept-Encoding": "identity"},
        follow_redirects=False,
        trust_env=not endpoint.guarded,
    )
    headers = {"X-Title": "Holdfast"} if endpoint.provider == "openrouter" else {}
    client = openai.AsyncOpenAI(
        api_key=endpoint.api_key,
        base_url=endpoint.base_url,
        max_retries=0,
        http_client=http,
        default_headers=headers,
    )
    # What the environment says of the operator's account is for that account's provider alone.
    is_account = endpoint.name == "openai" and not endpoint.owner
    client.organization = settings.OPENAI_ORG_ID or None if is_account else None
    client.project = settings.OPENAI_PROJECT_ID or None if is_account else None
    if not is_account:  # The library adds those of OPENAI_CUSTOM_HEADERS.
        client._custom_headers = headers
    return client


def _no_cookies() -> CookieJar:
    """Keeps none: what a provider, or a proxy before it, sets with one person's answer would go out
    with everybody's next question."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _transport(endpoint: Endpoint, connect_s: float) -> StreamTransport | None:
    """None is the library's own, which knows proxies: never for an address that a person gave."""
    if endpoint.guarded:
        return StreamTransport(connect_s, resolve, USED_HEADERS)
    if _proxied(endpoint.base_url):
        return None
    return StreamTransport(connect_s, only_headers=USED_HEADERS if endpoint.owner else None)


def _proxied(url: str) -> bool:
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    through = proxies.get(parts.scheme) or proxies.get("all")
    return bool(through) and not urllib.request.proxy_bypass(parts.hostname or "")


async def close_clients() -> None:
    """Closes this event loop's connections."""
    for pooled in _clients.pop(asyncio.get_running_loop(), OrderedDict()).values():
        await pooled.client.close()


class _Call:
    """One call of a model, with a second try where only the form of the request was refused."""

    def __init__(
        self,
        model: Model,
        prompt: Prompt,
        partial: str,
        max_tokens: int | None,
        temperature: float | None,
        person: str,
        on_taken: Callable[[], None],
        kept_bytes: int,
    ) -> None:
        self.kept_bytes = kept_bytes
        self.model, self.prompt, self.partial = model, prompt, partial
        self.key = learned.key_of(model, person)
        self.max_tokens, self.temperature = max_tokens, temperature
        self.form = RequestForm(model, prompt, partial)
        self.on_taken = on_taken
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.time()

    async def deltas(self) -> AsyncGenerator[Delta | Finish]:
        """By the time of the Finish everything is given back."""
        async with contextlib.AsyncExitStack() as stack:
            response = None
            for _ in range(MAX_REQUESTS):
                if (response := await self._open(stack)) is not None:
                    break
            if response is None:
                raise ProviderError("bad_request")
            self.form.remember()
            self.on_taken()
            seam = self._seam()
            think = self._think()
            tokens = self.prompt.prompt_tokens
            stream = AnswerStream(
                response, seam, self.partial, tokens, self.begun, think, self.kept_bytes
            )
            async with contextlib.aclosing(stream.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        # What a long answer used takes a while to count, if nobody says it.
        is_long = stream.size > LONG_BYTES
        finish = await asyncio.to_thread(stream.finish) if is_long else stream.finish()
        self._remember_echo(seam)
        self._remember_thinking(think, finish)
        yield finish

    async def _open(self, stack: contextlib.AsyncExitStack) -> httpx2.Response | None:
        """The response, or None when something was learned and asking again differently helps."""
        client = await stack.enter_async_context(_client(self.model.endpoint))
        limit_s = settings.MODEL_FIRST_TOKEN_TIMEOUT_MS / 1000
        try:
            if self.model.endpoint.guarded:  # By the settings of now, not of when it was saved.
                normal_url(self.model.endpoint.base_url)
            async with asyncio.timeout_at(self.begun + limit_s):
                opened = client.chat.completions.with_streaming_response.create(
                    **self.form.request(self.max_tokens, self.temperature)
                )
                response = await stack.enter_async_context(opened)
                body: httpx2.Response = response.http_response
                return body
        except openai.APIStatusError as e:
            self._learn(e)
            return None
        except (openai.APITimeoutError, TimeoutError) as e:
            raise ProviderError("provider_timeout") from e
        except (openai.APIConnectionError, UnreachableError) as e:
            raise ProviderError("provider_down") from e
        except AddressRefusedError as e:
            raise ProviderError("address_refused") from e
        except (UnicodeEncodeError, httpx2.LocalProtocolError):
            # A header cannot be sent. Without its cause, which quotes it.
            raise ProviderError("provider_auth") from None
        except openai.OpenAIError as e:
            raise ProviderError("bad_request") from e

    def _learn(self, refusal: openai.APIStatusError) -> None:
        """Raises what cannot be mended: without its cause, whose message quotes the provider."""
        status, body = refusal.status_code, refusal.body
        try:
            if self.form.learn(status, body):
                return
            error = classify(status, body, refusal.response.headers)
        except RecursionError:  # so many lists in lists
            error = classify(status, None, refusal.response.headers)
        raise error from None

    def _seam(self) -> Seam | None:
        if self.form.means == "ask":
            return AskSeam(self.partial)
        if self.form.means == "prefill":
            echoes = self.model.echoes_prefill
            if echoes is None and len(self.partial) < MIN_TELLING_CHARS:
                echoes = learned.echoes_prefill.get(self.key)
            return PrefillSeam(self.partial, echoes)
        return PrefillSeam(self.partial, False) if self.partial else None  # white space alone

    def _think(self) -> ThinkSplitter:
        marks = marks_for(self.model.id)
        begins = learned.thinks_first.get(self.key) or ""
        is_glued = self.form.means == "prefill"
        return ThinkSplitter(marks, before=self.partial, is_glued=is_glued, begins=begins)

    def _remember_thinking(self, think: ThinkSplitter, finish: Finish) -> None:
        """So that the next answer of this model shows no thinking as text, not even at first."""
        if think.closed_by:
            learned.thinks_first.add(self.key, think.closed_by)
        elif think.is_assumed and finish.reason == "stop":
            learned.thinks_first.drop(self.key)

    def _remember_echo(self, seam: Seam | None) -> None:
        """For a short partial answer, which alone would not tell."""
        if seam is None or seam.echoed is None or len(self.partial) < MIN_TELLING_CHARS:
            return
        learned.echoes_prefill.add(self.key, seam.echoed)
