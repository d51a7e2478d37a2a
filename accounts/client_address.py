"""Where a request comes from: the address of the client, as far as it can be believed.

`X-Forwarded-For` is written by whoever sends the request; only what a proxy of ours appended to it
is true. So it is read from its end, and only when HOLDFAST_TRUST_PROXY says that there is a proxy.
HOLDFAST_TRUSTED_PROXIES says how far: over a number of proxies, or as long as the addresses lie in
given networks.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest

# What one customer is usually given: within it an address can be changed at will.
IPV6_GROUP_BITS = 64
# Of a header that is longer only the end is looked at: the rest was not written by our proxies.
MAX_HOPS = 20
UNKNOWN = "unknown"

Address = IPv4Address | IPv6Address

_asking: ContextVar[str | None] = ContextVar("current_address_group", default=None)


@contextmanager
def address_context(request: HttpRequest) -> Iterator[None]:
    """Within it `current_address_group` is the group of this request's address."""
    token = _asking.set(address_group(client_address(request)))
    try:
        yield
    finally:
        _asking.reset(token)


def current_address_group() -> str | None:
    """Who asks for what is being done now; None where no request does."""
    return _asking.get()


def client_address(request: HttpRequest) -> str:
    """The client's address, or "unknown" (a Unix socket has none)."""
    peer = request.META.get("REMOTE_ADDR", "")
    return _believed(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))


def client_address_of_scope(scope: Mapping[str, Any]) -> str:
    """The same for a WebSocket."""
    peer = (scope.get("client") or [""])[0]
    lines = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    return _believed(peer, b",".join(lines).decode("latin-1"))


def is_proxy(peer: str) -> bool:
    """Whether a connection from this address is of a proxy that is trusted, and so anybody's."""
    if not settings.TRUST_PROXY:
        return False
    if isinstance(settings.TRUSTED_PROXIES, int):
        return settings.TRUSTED_PROXIES > 0
    return _is_proxy(_parse(peer), 0, settings.TRUSTED_PROXIES)


def address_group(address: str) -> str:
    """What limits count by: an IPv4 address, or the /64 that an IPv6 address is in."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, IPV6_GROUP_BITS), strict=False))
    return address if found is None else str(found)


def _believed(peer: str, forwarded: str) -> str:
    nearest = _parse(peer)
    if not settings.TRUST_PROXY or not forwarded:
        return str(nearest or UNKNOWN)
    # Nearest last, as in the header. What is no address ends the walk: nothing before it is sure.
    hops = [_parse(hop) for hop in forwarded.split(",")[-MAX_HOPS:]]
    believed, proxies = nearest, settings.TRUSTED_PROXIES
    for passed, hop in enumerate(reversed(hops)):
        if hop is None or not _is_proxy(believed, passed, proxies):
            break
        believed = hop
    return str(believed or UNKNOWN)


def _is_proxy(address: Address | None, passed: int, proxies: Any) -> bool:
    """Whether what `address` says of the hop before it is believed, after `passed` other hops."""
    if isinstance(proxies, int):
        return passed < proxies
    return address is not None and any(address in network for network in proxies)


def _parse(text: str) -> Address | None:
    """An address as proxies write it: perhaps with a port, in brackets, or mapped into IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
