"""The model client, the only module that imports `openai`.

The library does authentication, request encoding and error classes. The response stream is read by
our own code, because the library's stream objects cost 100 to 190 us a chunk. A call makes one
attempt; the worker retries, because it logs and limits attempts. The answer is the only text of a
provider that leaves this module.
"""

import asyncio
import contextlib
import re
import urllib.request
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
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
from chat.llm.errors import PicturesRefused, ProviderError, SoundRefused, classify
from chat.llm.http.bounded_client import CONTENT_TYPE, BoundedClient
from chat.llm.http.transport import StreamTransport
from chat.llm.images_api import JSON, EncodedRequest, encode_images_request
from chat.llm.prompt import Prompt
from chat.llm.request_body import encode_request
from chat.llm.request_form import MAX_REQUESTS, RequestForm, choose_continuation
from chat.llm.stream.body import (
    PICTURE_TIMEOUT_FACTOR,
    AnswerStream,
    Delta,
    Finish,
    Seam,
    stored_bytes,
)
from chat.llm.stream.think_marks import marks_for
from chat.llm.stream.think_tags import ThinkSplitter

__all__ = [
    "Body",
    "Delta",
    "Finish",
    "close_clients",
    "choose_continuation",
    "post_once",
    "stream_answer",
]

MAX_CONNECTIONS = 2000
FORM = "multipart/form-data"
MAX_RESPONSE_BYTES = 5_000_000  # of a response that is read as a whole
LONG_BYTES = 64 * 1024
# Limits for unused clients of people's own keys.
MAX_IDLE_CLIENTS = 100
CLIENT_IDLE_S = 120.0
# The only response headers kept in calls with people's own keys, because libraries log headers.
USED_HEADERS = frozenset({b"content-type", b"content-encoding", b"retry-after"})
MIN_CONCLUSIVE_CHARS = 40  # A model does not repeat a partial answer this long by chance.


async def stream_answer(
    model: Model,
    prompt: Prompt,
    *,
    partial: str = "",
    max_tokens: int | None = None,
    temperature: float | None = None,
    person: str = "",
    thought: str = "",
    on_accepted: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Delta | Finish]:
    """Streams the answer, or the rest of it after `partial`, and then a Finish.

    `person` is the id of the user. What the text of their answers shows about a model is
    remembered for them alone, because they can make the model write anything.

    `thought` is the reasoning the answer already has; it counts towards the answer's maximum size.

    `on_accepted` is called when the provider has accepted the request and may charge for it.
    Raises ProviderError. Closing the generator, or cancelling the task that waits for it, closes
    the connection at once, which stops the model.
    """
    kept_bytes = stored_bytes(partial) + stored_bytes(thought)
    if kept_bytes >= settings.MAX_ANSWER_BYTES:
        yield Finish("length", None)
        return
    call = _ModelCall(
        model, prompt, partial, max_tokens, temperature, person, on_accepted, kept_bytes
    )
    del prompt  # The call lets go of it once the provider has it.
    async with contextlib.aclosing(call.deltas()) as deltas:
        async for delta in deltas:
            yield delta


@dataclass(slots=True)
class _PooledClient:
    client: openai.AsyncOpenAI
    calls: int = 0  # in progress
    used_at: float = 0.0  # event loop time


# The least recently used client comes first.
_ClientPool = OrderedDict[Endpoint, _PooledClient]
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _ClientPool] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def _client(endpoint: Endpoint) -> AsyncGenerator[openai.AsyncOpenAI]:
    """The client, with its connection pool, for an event loop and an endpoint.

    Endpoints compare by owner, address and key. So a connection is never used by another owner, nor
    with a key other than the one it was made with.
    """
    loop = asyncio.get_running_loop()
    clients = _clients.setdefault(loop, OrderedDict())
    pooled = clients.get(endpoint)
    if pooled is None:
        pooled = clients[endpoint] = _PooledClient(_make_client(endpoint))
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
    """Closes unused clients of people's own keys, so that their keys leave memory."""
    loop = asyncio.get_running_loop()
    clients = _clients.get(loop, OrderedDict())
    idle = [e for e, pooled in clients.items() if e.owner and not pooled.calls]
    excess = max(len(idle) - MAX_IDLE_CLIENTS, 0)
    cutoff = loop.time() - CLIENT_IDLE_S
    expired = [e for n, e in enumerate(idle) if n < excess or clients[e].used_at <= cutoff]
    for pooled in [clients.pop(endpoint) for endpoint in expired]:  # all before the first await
        await pooled.client.close()


def _make_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    if not re.fullmatch(r"[!-~]+", endpoint.api_key):  # It is not a valid header value.
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
    # The operator's organization and project are sent to the operator's own OpenAI endpoint only.
    is_account = endpoint.name == "openai" and not endpoint.owner
    client.organization = settings.OPENAI_ORG_ID or None if is_account else None
    client.project = settings.OPENAI_PROJECT_ID or None if is_account else None
    if not is_account:  # The library adds the headers in OPENAI_CUSTOM_HEADERS.
        client._custom_headers = headers
    return client


def _no_cookies() -> CookieJar:
    """A jar that accepts no cookies. A client serves many people, so a cookie that a provider or
    a proxy set in one person's response would be sent with other people's requests."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _transport(endpoint: Endpoint, connect_s: float) -> StreamTransport | None:
    """None selects the library's transport, which supports proxies. It is never used for an address
    that a person entered."""
    if endpoint.guarded:
        return StreamTransport(connect_s, resolve, USED_HEADERS)
    if _uses_proxy(endpoint.base_url):
        return None
    return StreamTransport(connect_s, only_headers=USED_HEADERS if endpoint.owner else None)


def _uses_proxy(url: str) -> bool:
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    through = proxies.get(parts.scheme) or proxies.get("all")
    return bool(through) and not urllib.request.proxy_bypass(parts.hostname or "")


async def close_clients() -> None:
    """Closes this event loop's clients with their connections."""
    for pooled in _clients.pop(asyncio.get_running_loop(), OrderedDict()).values():
        await pooled.client.close()


@dataclass(frozen=True, slots=True)
class Body:
    """What a request sends: bytes of a kind, or the fields and the files of a form."""

    content: bytes | None = None
    kind: str = JSON
    fields: dict[str, str] | None = None
    files: dict[str, tuple[str, bytes, str]] | None = None

    def to_options(self) -> dict[str, Any]:
        """The arguments of the library's `post`."""
        is_encoded = self.files is None
        headers = {CONTENT_TYPE: self.kind} if is_encoded else {"Content-Type": FORM}
        options = {"options": {"headers": headers, "security": {"bearer_auth": True}}}
        if is_encoded:
            return options | {"content": self.content}
        return options | {"body": self.fields, "files": self.files}


async def post_once(endpoint: Endpoint, path: str, body: Body, limit_s: float) -> bytes:
    """The body of the response to one POST. Raises ProviderError. Cancelling the task closes the
    connection."""
    with _as_provider_errors():
        async with _client(endpoint) as client, asyncio.timeout(limit_s):
            if endpoint.guarded:  # The settings may have changed since it was saved.
                normal_url(endpoint.base_url)
            response = await _post(client, path, body)
            async with contextlib.aclosing(response):
                read = bytearray()
                async for piece in response.aiter_bytes():
                    read += piece
                    if len(read) > MAX_RESPONSE_BYTES:
                        raise ProviderError("bad_stream")
                return bytes(read)


async def _post(client: openai.AsyncOpenAI, path: str, body: Body) -> httpx2.Response:
    """The response, of which only the head is read. Raises the errors of the library."""
    # Not `chat.completions.create`: it walks through each message in Python, which takes 100 ms
    # for 200 messages, in the event loop.
    response: httpx2.Response = await client.post(
        path, cast_to=httpx2.Response, stream=True, **body.to_options()
    )
    return response


@contextlib.contextmanager
def _as_provider_errors() -> Generator[None]:
    """Raises ProviderError for the errors of the library, without the provider's own words."""
    try:
        yield
    except openai.APIStatusError as e:
        try:
            error = classify(e.status_code, e.body, e.response.headers)
        except RecursionError:  # deeply nested lists
            error = classify(e.status_code, None, e.response.headers)
        raise error from None
    except (openai.APITimeoutError, TimeoutError) as e:
        raise ProviderError("provider_timeout") from e
    except AddressRefusedError as e:
        raise ProviderError("address_refused") from e
    except (UnicodeEncodeError, httpx2.LocalProtocolError):
        # A header cannot be sent. The cause is dropped because it quotes the header.
        raise ProviderError("provider_auth") from None
    except (openai.APIConnectionError, UnreachableError, httpx2.HTTPError) as e:
        raise ProviderError("provider_down") from e
    except openai.OpenAIError as e:
        raise ProviderError("bad_request") from e


class _ModelCall:
    """One call of a model. Repeats a request in another form if its form was refused."""

    def __init__(
        self,
        model: Model,
        prompt: Prompt,
        partial: str,
        max_tokens: int | None,
        temperature: float | None,
        person: str,
        on_accepted: Callable[[], None],
        kept_bytes: int,
    ) -> None:
        self.kept_bytes = kept_bytes
        self.model, self.prompt, self.partial = model, prompt, partial
        self.key = learned.model_key(model, person)
        self.max_tokens, self.temperature = max_tokens, temperature
        self.form = RequestForm(model, prompt, partial)
        self.on_accepted = on_accepted
        self.loop = asyncio.get_running_loop()
        self.started_at = self.loop.time()

    async def deltas(self) -> AsyncGenerator[Delta | Finish]:
        """Deltas, then the Finish. The connection is released before the Finish is yielded."""
        async with contextlib.AsyncExitStack() as stack:
            response = None
            for _ in range(MAX_REQUESTS):
                if (response := await self._open(stack)) is not None:
                    break
            if response is None:
                raise ProviderError("bad_request")
            self.form.remember()
            self.on_accepted()
            self._drop_request(response)
            seam = self._seam()
            splitter = self._think_splitter()
            tokens = self.prompt.prompt_tokens
            stream = AnswerStream(
                response,
                seam,
                self.partial,
                tokens,
                self.started_at,
                splitter,
                self.kept_bytes,
                takes_pictures=self.model.makes_pictures,
                takes_sound=self.form.speaks,
                sound_tokens=self.prompt.sound_tokens,
            )
            async with contextlib.aclosing(stream.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        # If the provider reports no usage, the tokens of the answer are counted.
        is_long = stream.size > LONG_BYTES
        finish = await asyncio.to_thread(stream.finish) if is_long else stream.finish()
        self._remember_echo(seam)
        self._remember_thinking(splitter, finish)
        yield finish

    def _drop_request(self, response: httpx2.Response) -> None:
        """Let go of the messages, which with pictures take megabytes, for the rest of the call."""
        self.prompt = self.form.prompt = replace(self.prompt, messages=())
        response.request = httpx2.Request(response.request.method, response.request.url)

    async def _open(self, stack: contextlib.AsyncExitStack) -> httpx2.Response | None:
        """The response; None if it was refused in a way that another form of request may avoid."""
        client = await stack.enter_async_context(_client(self.model.endpoint))
        limit_s = settings.MODEL_FIRST_TOKEN_TIMEOUT_MS / 1000
        if self.model.makes_pictures:
            limit_s *= PICTURE_TIMEOUT_FACTOR
        try:
            if self.model.endpoint.guarded:  # The settings may have changed since it was saved.
                normal_url(self.model.endpoint.base_url)
            async with asyncio.timeout_at(self.started_at + limit_s):
                path, body, kind = await self._encoded()
                response = await _post(client, path, Body(body, kind))
                stack.push_async_callback(response.aclose)
                return response
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
            # A header cannot be sent. The cause is dropped because it quotes the header.
            raise ProviderError("provider_auth") from None
        except openai.OpenAIError as e:
            raise ProviderError("bad_request") from e

    async def _encoded(self) -> EncodedRequest:
        if self.model.uses_images_api:
            return await asyncio.to_thread(encode_images_request, self.model, self.prompt)
        body = await encode_request(self.form.request(self.max_tokens, self.temperature))
        return EncodedRequest("/chat/completions", body, JSON)

    def _learn(self, refusal: openai.APIStatusError) -> None:
        """Adapts the form of the request. Raises ProviderError if the refusal is not about that,
        without its cause, because the cause's message quotes the provider."""
        status, body = refusal.status_code, refusal.body
        try:
            if not self.model.uses_images_api:
                if self.form.refuses_sound(status, body):
                    raise SoundRefused from None
                if self.form.refuses_pictures(status, body):
                    raise PicturesRefused from None
                if self.form.learn(status, body):
                    return
            error = classify(status, body, refusal.response.headers)
        except RecursionError:  # deeply nested lists
            error = classify(status, None, refusal.response.headers)
        raise error from None

    def _seam(self) -> Seam | None:
        if self.form.mode == "ask":
            return AskSeam(self.partial)
        if self.form.mode == "prefill":
            echoes = self.model.echoes_prefill
            if echoes is None and len(self.partial) < MIN_CONCLUSIVE_CHARS:
                echoes = learned.echoes_prefill.get(self.key)
            return PrefillSeam(self.partial, echoes)
        # A partial answer of white space alone is not sent, but stored.
        return PrefillSeam(self.partial, False) if self.partial else None

    def _think_splitter(self) -> ThinkSplitter:
        marks = marks_for(self.model.id)
        begins = learned.thinks_first.get(self.key) or ""
        is_glued = self.form.mode == "prefill"
        return ThinkSplitter(marks, before=self.partial, is_glued=is_glued, begins=begins)

    def _remember_thinking(self, splitter: ThinkSplitter, finish: Finish) -> None:
        """Remembers whether the model begins with thinking, so that its next answer does not show
        thinking as text at first."""
        if splitter.closed_by:
            learned.thinks_first.add(self.key, splitter.closed_by)
        elif splitter.is_assumed and finish.reason == "stop":
            learned.thinks_first.drop(self.key)

    def _remember_echo(self, seam: Seam | None) -> None:
        """Remembers whether the model repeats a prefilled answer. A later call with a partial
        answer too short to tell relies on it."""
        if seam is None or seam.echoed is None or len(self.partial) < MIN_CONCLUSIVE_CHARS:
            return
        learned.echoes_prefill.add(self.key, seam.echoed)
