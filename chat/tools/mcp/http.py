"""The HTTP client of MCP connections, over the transport that model calls use.

The `mcp` library turns every failure of HTTP into one error, closes the whole session when a
connection breaks, and reads bodies of any size. So this client answers a broken request with a
response of its own and notes the reason in the Exchange of the call, and it limits what is read.

- A request is sent once. Redirects are not followed, cookies and proxies are not used.
- Bodies are not compressed, and at most MAX_BODY_BYTES long.
- The query of a server's address may be a secret. It is added below the library, which logs
  addresses.
"""

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2

from accounts.provider_keys.address_filter import AddressRefusedError, OutboundError
from chat.llm.http.transport import StreamTransport
from chat.tools.mcp import problems
from chat.tools.mcp.server_config import ServerConfig

MAX_BODY_BYTES = 10_000_000
# A server may end the stream of an answer and have us ask for its rest, as often as it likes.
MAX_RESUMPTIONS = 20
CONNECT_S = 10.0
# Libraries log headers, so only those that are needed get further than this module.
USED_HEADERS = frozenset(
    {b"content-type", b"content-encoding", b"mcp-session-id", b"www-authenticate", b"retry-after"}
)
CODES = {401: problems.SIGN_IN_NEEDED, 403: problems.SIGN_IN_NEEDED, 429: problems.BUSY}
JSON, EVENTS = "application/json", "text/event-stream"
KEY_HEADER = "Idempotency-Key"


@dataclass(slots=True)
class Exchange:
    """What HTTP showed about one call: the call sets it, the client fills it in.

    `key` is sent as a header. `status` is that of the last response, 0 without one. `sent` is
    whether a request left, so that the call may have taken effect. `on_failure` is called where
    the library would let the call wait for an answer that cannot come.
    """

    key: str = ""
    status: int = 0
    challenge: str = ""
    code: str = ""
    sent: bool = False
    resumptions: int = 0
    on_failure: Callable[[], object] = lambda: None


# The library runs each request in the context of the task that made the call.
current_exchange: ContextVar[Exchange | None] = ContextVar("current_exchange", default=None)


class McpHttpClient(httpx2.AsyncClient):
    """The client of one connection. `is_sse`: it has the older transport, whose answers come over
    one long response to a GET."""

    def __init__(self, config: ServerConfig, *, is_sse: bool = False) -> None:
        super().__init__(
            transport=_QueryTransport(config),
            headers=dict(config.headers) | {"Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx2.Timeout(None),
            follow_redirects=False,
            trust_env=False,
        )
        self._is_sse = is_sse
        self._streams = 0

    async def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        exchange = current_exchange.get() or Exchange()
        if request.method == "GET" and not self._may_get(request, exchange):
            return _refusal(request, 405)
        exchange.code = ""  # A call may have several requests; the last one decides.
        if exchange.key:
            request.headers[KEY_HEADER] = exchange.key
        try:
            response = await super().send(request, **kwargs | {"stream": True})
        except (httpx2.TransportError, httpx2.InvalidURL, OutboundError) as error:
            exchange.code = _code_of(error)
            exchange.sent |= exchange.code == problems.CONNECTION_LOST
            return self._fail(request, exchange, 503)
        exchange.sent = True
        exchange.status = response.status_code
        if code := self._refused(request, response, exchange):
            exchange.code = code
            await response.aclose()
            return self._fail(request, exchange, max(response.status_code, 400))
        is_open_ended = self._is_sse and request.method == "GET"
        limit = None if is_open_ended else MAX_BODY_BYTES
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(response, exchange, limit),
            request=request,
        )

    def _fail(self, request: httpx2.Request, exchange: Exchange, status: int) -> httpx2.Response:
        if self._is_sse and request.method == "POST":
            exchange.on_failure()
        return _refusal(request, status)

    def _may_get(self, request: httpx2.Request, exchange: Exchange) -> bool:
        """Servers decide how often a stream is asked for again, so the number is limited. Streams
        are those of answers, and one for messages that belong to no call."""
        if self._is_sse:
            return True
        if exchange.code == problems.TOO_LARGE:
            return False
        if exchange.key:
            exchange.resumptions += 1
            return exchange.resumptions <= MAX_RESUMPTIONS
        self._streams += 1
        return self._streams <= MAX_RESUMPTIONS

    def _refused(
        self, request: httpx2.Request, response: httpx2.Response, exchange: Exchange
    ) -> str:
        """The code of a response that the library must not see; "" if it may."""
        status, kind = response.status_code, _content_type(response)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            return problems.BAD_ANSWER
        if 300 <= status < 400:
            return problems.REDIRECTED
        if status in CODES:
            exchange.challenge = response.headers.get("www-authenticate", "")
            return CODES[status]
        if status >= 400:
            has_error = kind == JSON and not self._is_sse  # of JSON-RPC
            return "" if has_error else _code_of_status(status)
        has_answer = status not in (202, 204) and request.method in ("POST", "GET")
        if self._is_sse and request.method == "POST":  # Its answer comes over the stream.
            has_answer = False
        return problems.NOT_MCP if has_answer and kind not in (JSON, EVENTS) else ""


class _QueryTransport(StreamTransport):
    """Adds the query of the server's address to each request."""

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(CONNECT_S, config.resolve, USED_HEADERS)
        self._query = config.query.encode("ascii")

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._query:
            query = b"&".join(part for part in (request.url.query, self._query) if part)
            request = httpx2.Request(
                request.method,
                request.url.copy_with(query=query),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        return await super().handle_async_request(request)


class _Bounded(httpx2.AsyncByteStream):
    """A body up to its limit. A body that breaks or is too long ends early, and the Exchange says
    why: the library would close the session for an error."""

    def __init__(
        self, response: httpx2.Response, exchange: Exchange, limit_bytes: int | None
    ) -> None:
        self._response, self._exchange, self._limit_bytes = response, exchange, limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        try:
            async for piece in self._response.aiter_raw():
                read += len(piece)
                if self._limit_bytes is not None and read > self._limit_bytes:
                    self._exchange.code = problems.TOO_LARGE
                    return
                yield piece
            if _content_type(self._response) == EVENTS:  # The answer is not read up to here.
                self._exchange.code = problems.CONNECTION_LOST
        except (httpx2.TransportError, httpx2.StreamError):
            self._exchange.code = problems.CONNECTION_LOST

    async def aclose(self) -> None:
        await self._response.aclose()


def _refusal(request: httpx2.Request, status: int) -> httpx2.Response:
    return httpx2.Response(status, request=request)


def _code_of_status(status: int) -> str:
    if status in (502, 503, 504):  # A proxy's, after the request may have reached the server.
        return problems.CONNECTION_LOST
    return problems.SERVER_FAILED if status >= 500 else problems.NOT_MCP


def _content_type(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


def _code_of(error: Exception) -> str:
    if isinstance(error, AddressRefusedError):
        return problems.NOT_ALLOWED
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | OutboundError):
        return problems.SERVER_DOWN
    if isinstance(error, httpx2.LocalProtocolError | httpx2.InvalidURL):
        return problems.BAD_ANSWER
    return problems.CONNECTION_LOST
