"""HTTP requests to addresses given by people, which never reach our own network.

Connections are made to the addresses that accounts/provider_keys/address_filter.py has checked; TLS
and the Host header carry the name. Redirects are not followed, and proxies of the environment are
not used.
"""

import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from accounts.provider_keys.address_filter import (
    Resolver,
    UnreachableError,
    normal_host,
    normal_url,
    resolve,
)

MAX_BYTES = 5_000_000
MAX_HEAD_BYTES = 64 * 1024  # including 1xx responses
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. Header names are in lower case. Never show headers or body to anybody: they may
    quote the key."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def fetch(
    url: str,
    *,
    headers: dict[str, str],
    body: bytes | None = None,
    timeout_s: float,
    guarded: bool,
    query: str = "",
    max_bytes: int = MAX_BYTES,
    resolver: Resolver | None = None,
) -> Answer:
    """GET, or POST if there is a body. Returns responses of any status. Blocks.

    Use `guarded` for URLs from people. Other URLs are ours or the operator's; they are not checked,
    and the proxies of the environment apply. Only the first `max_bytes` of a body are returned.
    Raises OutboundError.
    """
    ends = monotonic() + timeout_s
    url = normal_url(url) if guarded else url
    url += f"?{query}" if query else ""
    try:
        if guarded:
            return _ask_guarded(url, headers, body, ends, max_bytes, resolver)
        return _ask(url, headers, body, ends, max_bytes)
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError("tls") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        tls = isinstance(reason, ssl.SSLCertVerificationError)
        garbled = isinstance(error, ValueError | http.client.HTTPException)
        kind = "tls" if tls else "answer" if garbled else "connection"
        raise UnreachableError(kind) from error


def _ask_guarded(
    url: str,
    headers: dict[str, str],
    body: bytes | None,
    ends: float,
    max_bytes: int,
    resolver: Resolver | None,
) -> Answer:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = normal_host(parts.hostname or "")
    port = parts.port or (443 if secure else 80)
    connection = _Connection(host, port, resolve(host, port, resolver), secure, ends)
    # A socket's timeout starts again with every byte. This timer limits the whole request.
    alarm = threading.Timer(max(ends - monotonic(), 0.0), connection.cut)
    alarm.daemon = True
    alarm.start()
    try:
        method = "GET" if body is None else "POST"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        content = _read(response, ends, max_bytes)
        if connection.was_cut:
            raise TimeoutError
        return Answer(response.status, _lower(response.getheaders()), content)
    finally:
        alarm.cancel()
        connection.close()


def _read(response: Any, ends: float, max_bytes: int) -> bytes:
    """The first `max_bytes` of the body. Raises TimeoutError if it is too slow."""
    body = bytearray()
    while len(body) < max_bytes:
        piece = response.read1(min(_PIECE_BYTES, max_bytes - len(body)))
        if not piece:
            break
        body += piece
        if monotonic() > ends:
            raise TimeoutError
    return bytes(body)


class _Head:
    """Reads the lines of a response head, up to MAX_HEAD_BYTES in total."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self._left = MAX_HEAD_BYTES

    def readline(self, size: int) -> bytes:
        line: bytes = self.file.readline(min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("head")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _Response(http.client.HTTPResponse):
    def begin(self) -> None:
        file = self.fp
        self.fp = _Head(file)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:  # None without a body.
                self.fp = file


class _Connection(http.client.HTTPConnection):
    """Connects to the checked addresses only; the name is for TLS and the Host header."""

    response_class = _Response

    def __init__(
        self, host: str, port: int, addresses: list[str], secure: bool, ends: float
    ) -> None:
        super().__init__(f"[{host}]" if ":" in host else host, port)
        self.default_port = 443 if secure else 80
        self._name, self._addresses, self._secure, self._ends = host, addresses, secure, ends
        self.was_cut = False

    def connect(self) -> None:
        failure: OSError = ConnectionError()
        for address in self._addresses:
            left_s = self._ends - monotonic()
            if left_s <= 0 or self.was_cut:
                raise TimeoutError
            try:
                plain = socket.create_connection((address, self.port), left_s)
            except OSError as error:
                failure = error
                continue
            self.sock = plain
            if self._secure:
                context = ssl.create_default_context()
                self.sock = context.wrap_socket(plain, server_hostname=self._name)
            return
        raise failure

    def cut(self) -> None:
        self.was_cut = True
        sock = self.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, because it would send the key to another address."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _ask(
    url: str,
    headers: dict[str, str],
    body: bytes | None,
    ends: float,
    max_bytes: int,
) -> Answer:
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310  from settings
    try:
        opened = _opener.open(request, timeout=max(ends - monotonic(), 0.1))
    except urllib.error.HTTPError as error:
        opened = error
    with opened as response:
        content = _read(response, ends, max_bytes)
        return Answer(response.status, _lower(response.headers.items()), content)


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
