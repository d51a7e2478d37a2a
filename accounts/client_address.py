"""The address that a request comes from.

Anybody can send an `X-Forwarded-For` header; only the entries that our own proxies appended are
trustworthy. The header is therefore read from its end, and only if HOLDFAST_TRUST_PROXY is set.
HOLDFAST_TRUSTED_PROXIES says how many entries to trust: a number of proxies, or the networks that
the proxies' addresses are in.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest

# One customer usually gets a /64 network, and can change the address within it at will.
IPV6_GROUP_BITS = 64
# Only the last entries of a longer header are read; our proxies did not write the others.
MAX_HOPS = 20
UNKNOWN = "unknown"

Address = IPv4Address | IPv6Address

_current_group: ContextVar[str | None] = ContextVar("current_address_group", default=None)


@contextmanager
def address_context(request: HttpRequest) -> Iterator[None]:
    """Within the context `current_address_group` returns the group of this request's address."""
    token = _current_group.set(address_group(client_address(request)))
    try:
        yield
    finally:
        _current_group.reset(token)


def current_address_group() -> str | None:
    """The address group of the request being handled; None outside of a request."""
    return _current_group.get()


def client_address(request: HttpRequest) -> str:
    """The client's address, or "unknown" for a Unix socket, which has none."""
    peer = request.META.get("REMOTE_ADDR", "")
    return _trusted_address(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))


def client_address_of_scope(scope: Mapping[str, Any]) -> str:
    """Like `client_address`, for a WebSocket."""
    peer = (scope.get("client") or [""])[0]
    lines = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    return _trusted_address(peer, b",".join(lines).decode("latin-1"))


def is_proxy(peer: str) -> bool:
    """Whether this is the address of a trusted proxy, whose connections may be anybody's."""
    if not settings.TRUST_PROXY:
        return False
    if isinstance(settings.TRUSTED_PROXIES, int):
        return settings.TRUSTED_PROXIES > 0
    return _is_proxy(_parse(peer), 0, settings.TRUSTED_PROXIES)


def address_group(address: str) -> str:
    """The group that limits count by: an IPv4 address, or the /64 network of an IPv6 address."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, IPV6_GROUP_BITS), strict=False))
    return address if parsed is None else str(parsed)


def _trusted_address(peer: str, forwarded: str) -> str:
    nearest = _parse(peer)
    if not settings.TRUST_PROXY or not forwarded:
        return str(nearest or UNKNOWN)
    # The nearest hop is the last. An invalid entry ends the walk, because the entries before it
    # cannot be trusted.
    hops = [_parse(hop) for hop in forwarded.split(",")[-MAX_HOPS:]]
    trusted, proxies = nearest, settings.TRUSTED_PROXIES
    for passed, hop in enumerate(reversed(hops)):
        if hop is None or not _is_proxy(trusted, passed, proxies):
            break
        trusted = hop
    return str(trusted or UNKNOWN)


def _is_proxy(address: Address | None, passed: int, proxies: Any) -> bool:
    """Whether `address`, after `passed` other hops, is trusted to name the hop before it."""
    if isinstance(proxies, int):
        return passed < proxies
    return address is not None and any(address in network for network in proxies)


def _parse(text: str) -> Address | None:
    """Parse an address as proxies write it: with or without a port, brackets or IPv4 mapping."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
