"""Decides which addresses given by people we may connect to (protection against SSRF).

A host name is resolved once, all its addresses are checked, and the caller connects to exactly
those. So it does not matter if a name server answers differently later (DNS rebinding). Web
processes check keys with accounts/provider_keys/http.py, workers call models with
chat/llm/http/transport.py; both only connect to addresses that `resolve` returns.

HOLDFAST_ALLOW_PRIVATE_MODEL_URLS also allows private and loopback addresses, plain http, and any
port; callers that pass `private` decide that themselves. Link-local addresses, the metadata
services of clouds, multicast and the unspecified address are always refused.

OutboundError
├── AddressRefusedError  the address is not allowed; the message is a sentence that says why
└── UnreachableError     no connection, no valid response, or none in time
"""

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import psutil
from django.conf import settings
from django.utils.translation import gettext as _

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[..., Sequence[tuple[Any, ...]]]

MAX_URL_CHARS = 300
LOWEST_FREE_PORT = 1_024
# Ports from LOWEST_FREE_PORT on that serve databases, caches, queues or control planes.
OTHER_SERVICES = frozenset(
    (1080, 1433, 1434, 1521, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3260, 3306, 3389)
    + (3632, 4045, 4369, 5060, 5061, 5432, 5672, 5900, 5984, 6000, 6379, 6443, 6566, 6665)
    + (6666, 6667, 6668, 6669, 6697, 7001, 7077, 8086, 8500, 9042, 9092, 9200, 9300, 10080)
    + (10250, 10255, 11211, 15672, 25565, 26379, 27017, 27018, 50070, 61616)
)
# `is_global` is true for some of these, but they are not on the public internet, or they tunnel.
_REFUSED = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT
        "168.63.129.16/32",  # the host of an Azure machine
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4, which embeds an IPv4 address
        "3fff::/20",
    )
)
# Metadata services of clouds whose address is not link-local. Always refused.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:42::42",  # Scaleway
        "fd00:ec2::23",  # Amazon, for containers
        "fd00:ec2::254",  # Amazon
        "fd20:ce::254",  # Google
    )
)
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\<>\"{}|^`]")


class OutboundError(Exception):
    pass


class AddressRefusedError(OutboundError):
    pass


class UnreachableError(OutboundError):
    """`kind` is "name" (no such host), "tls" (bad certificate), "answer" (no valid response) or
    "connection". The message never quotes the server."""

    def __init__(self, kind: str = "connection") -> None:
        super().__init__(f"not reachable ({kind})")
        self.kind = kind


# URLs and host names


def normal_url(url: str, *, private: bool | None = None) -> str:
    """The normal form of a URL: scheme, ASCII host, port if it is not the default, and path without
    a trailing slash. Raises AddressRefusedError. Does not resolve the host.

    `private` is whether private addresses, http and any port are allowed; None: as the setting for
    models says."""
    if _FORBIDDEN.search(url) or len(url) > MAX_URL_CHARS:
        raise AddressRefusedError(_("This is not the address of a web service."))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefusedError(_("This is not the address of a web service.")) from error
    allow_private = _is_private_allowed(private)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise AddressRefusedError(_("The address must begin with https:// and name a host."))
    if parts.scheme == "http" and not allow_private:
        raise AddressRefusedError(
            _("The address must begin with https://, or the key could be read.")
        )
    if "@" in parts.netloc:
        raise AddressRefusedError(_("Leave the name and password out of the address."))
    if "?" in url or "#" in url:
        raise AddressRefusedError(_("Leave out what follows the path: “?” and “#”."))
    if port == 0:
        raise AddressRefusedError(_("This port is not one of a web service."))
    host = normal_host(parts.hostname, private=private)
    _check_port(port or (443 if parts.scheme == "https" else 80), private)
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in (None, 443 if parts.scheme == "https" else 80) else f":{port}"
    try:
        path = parts.path.encode("ascii").decode().rstrip("/")
    except UnicodeEncodeError as error:
        raise AddressRefusedError(_("The path may have plain letters only.")) from error
    return f"{parts.scheme}://{shown_host}{shown_port}{path}"


def normal_host(host: str, *, private: bool | None = None) -> str:
    """A name in lower-case ASCII, or an IP address in canonical form. Raises AddressRefusedError.

    Names are checked after their conversion to ASCII, the form that a resolver reads. Refuses
    addresses that only some programs accept (127.1, 0x7f.1, 2130706433, 0177.0.0.1).
    """
    wrong = AddressRefusedError(_("The host of this address is not a proper name."))
    if "%" in host or host.endswith("."):
        raise wrong
    if not host.isascii():
        try:
            written, host = host, host.encode("idna").decode("ascii")
            read_back = host.encode("ascii").decode("idna")
        except UnicodeError as error:
            raise wrong from error
        if read_back != unicodedata.normalize("NFC", written.lower()):
            raise wrong  # IDNA changed the name: “１２７” became 127, “ß” became ss.
    host = host.lower()
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(host) > 253:
        raise wrong
    if _NUMERIC.fullmatch(labels[-1]):
        raise wrong
    if len(labels) == 1 and not _is_private_allowed(private):
        raise AddressRefusedError(_("This host is not on the public internet."))
    return host


def _is_private_allowed(private: bool | None) -> bool:
    allowed: bool = settings.ALLOW_PRIVATE_MODEL_URLS if private is None else private
    return allowed


def _check_port(port: int, private: bool | None) -> None:
    if port in (80, 443) or _is_private_allowed(private):
        return
    if port < LOWEST_FREE_PORT or port in OTHER_SERVICES:
        raise AddressRefusedError(_("This port is not one of a web service."))


# IP addresses


def is_allowed(address: IPAddress, *, private: bool | None = None) -> bool:
    """Whether the settings allow a connection to this address."""
    addresses = _embedded(address)
    if any(a.is_link_local or a.is_multicast or a.is_unspecified for a in addresses):
        return False
    if not _METADATA.isdisjoint(addresses):
        return False
    return _is_private_allowed(private) or is_public(address)


def is_public(address: IPAddress) -> bool:
    """Whether the address is globally routable and not one of this machine's."""
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        return is_public(_embedded(address)[-1])
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_IPV6:
        return False  # mapped and compatible IPv4, unique local, link-local, loopback, ...
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in net for net in _REFUSED if net.version == address.version):
        return False
    return address not in _own_addresses()


def _embedded(address: IPAddress) -> list[IPAddress]:
    """The address and the IPv4 addresses that it embeds."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    addresses: list[IPAddress] = [address]
    if address.ipv4_mapped or address in _NAT64 or int(address) >> 32 == 0 and int(address) > 1:
        addresses.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return addresses + [part for part in (address.sixtofour, *(address.teredo or ())) if part]


def _own_addresses() -> set[IPAddress]:
    """This machine's addresses: services behind its firewall may be open to itself."""
    own: set[IPAddress] = set()
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family in (socket.AF_INET, socket.AF_INET6):
                own.add(ipaddress.ip_address(address.address.partition("%")[0]))
    return own


def resolve(
    host: str, port: int, resolver: Resolver | None = None, *, private: bool | None = None
) -> list[str]:
    """The checked addresses to connect to, in order. Blocks. Raises OutboundError.

    A single forbidden address rejects the whole name, because mixing public and private addresses
    is how rebinding works.
    """
    host = normal_host(host, private=private)
    _check_port(port, private)
    try:
        entries = (resolver or socket.getaddrinfo)(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in entries]
    except (OSError, UnicodeError) as error:
        raise UnreachableError("name") from error
    except ValueError as error:  # Only local addresses have a scope ("fe80::1%eth0").
        raise AddressRefusedError(_("This host is not on the public internet.")) from error
    if not addresses:
        raise UnreachableError("name")
    if not all(is_allowed(address, private=private) for address in addresses):
        raise AddressRefusedError(_("This host is not on the public internet."))
    return list(dict.fromkeys(str(address) for address in addresses))
