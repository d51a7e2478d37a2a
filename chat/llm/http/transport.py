"""The model client's HTTP/1.1 transport, made for many slow streams.

The bytes of a network read are yielded as one piece, without a layer per chunk; the library's own
transport costs four times the CPU (docs/decisions/models.md). It supports only what model calls
need: requests with a known body, keep-alive, and responses that are chunked, sized, or ended by
closing. It does not follow redirects. It belongs to the event loop that first uses it.

A request is never sent twice. A stale connection is detected before anything is written to it. If
a connection breaks afterwards, the server may be processing the request already, so the error is
raised to the caller, who decides (`Generation` counts another attempt).

With `resolve`, it connects only to the addresses that `resolve` returns for a host
(accounts/provider_keys/address_filter.py).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2

from chat.llm.http.connection import Connection, Exchange, request_head
from chat.llm.http.idle_connections import IdleConnections, Origin

# A separate pool, so that name servers that never respond do not block other work in threads.
_resolvers = ThreadPoolExecutor(16, "resolve")


class StreamTransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport. It opens a connection per concurrent request and reuses idle ones."""

    def __init__(
        self,
        connect_timeout_s: float,
        resolve: Callable[[str, int], list[str]] | None = None,
        only_headers: frozenset[bytes] | None = None,
    ) -> None:
        """`resolve(host, port)` returns IP addresses; it blocks. `only_headers`: the only response
        headers that are passed on, in lower case."""
        self._connect_timeout_s = connect_timeout_s
        self._resolve = resolve
        self._only_headers = only_headers
        self._idle = IdleConnections()
        self._tls: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.raw_host.decode("ascii")
        origin = (request.url.scheme == "https", host, request.url.port or 0)
        head, body = request_head(request), await request.aread()
        connection = self._idle.take(origin) or await self._connect(origin)
        exchange = Exchange(connection, request.method, head, body)
        try:
            status, headers = await exchange.head()
        except BaseException:
            exchange.abort()
            raise
        stream = Body(exchange, self._idle, origin)
        if self._only_headers is not None:
            headers = [pair for pair in headers if pair[0].lower() in self._only_headers]
        return httpx2.Response(status, headers=headers, stream=stream)

    async def _connect(self, origin: Origin) -> Connection:
        secure, host, port = origin
        port = port or (443 if secure else 80)
        if secure and self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if self._resolve is None:
                    return await self._open(host, port, host if secure else None)
                resolving = asyncio.get_running_loop().run_in_executor(
                    _resolvers, self._resolve, host, port
                )
                addresses = await resolving
                return await self._open_first(addresses, port, host if secure else None)
        except TimeoutError as e:
            raise httpx2.ConnectTimeout("no connection in time") from e
        except (OSError, ssl.SSLError) as e:
            raise httpx2.ConnectError("no connection") from e

    async def _open_first(
        self, addresses: list[str], port: int, tls_name: str | None
    ) -> Connection:
        failure: OSError = ConnectionError()
        for address in addresses:
            try:
                return await self._open(address, port, tls_name)
            except OSError as error:
                failure = error
        raise failure

    async def _open(self, address: str, port: int, tls_name: str | None) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection,
            address,
            port,
            ssl=self._tls if tls_name else None,
            server_hostname=tls_name,
        )
        return connection

    async def aclose(self) -> None:
        self._idle.close()


class Body(httpx2.AsyncByteStream):
    """The body of a response, which one reader can read once.

    Closing it before its end aborts the connection, which stops the model. Once closed, it has no
    reference to the connection, which another request may own by then.
    """

    def __init__(self, exchange: Exchange, idle: IdleConnections, origin: Origin) -> None:
        self._exchange, self._idle, self._origin = exchange, idle, origin
        self._is_begun = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._is_begun:
            raise httpx2.StreamConsumed
        self._is_begun = True
        try:
            while piece := await self._exchange.read():
                yield piece
        except BaseException:  # also if the reader stops early
            self._exchange.abort()
            raise

    async def aclose(self) -> None:
        if connection := self._exchange.close():
            self._idle.put(self._origin, connection)
