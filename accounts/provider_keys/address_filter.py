"""Addresses that a person gave: which of them we may connect to.

A host name is resolved once, every address it has is judged, and whoever asked connects to exactly
those: a name server that changes its mind between the look and the call changes nothing. Web
processes check keys by accounts/provider_keys/http.py, workers call models by
chat/llm/http/transport.py; both connect to what `resolve` gives and nothing else.

HOLDFAST_ALLOW_PRIVATE_MODEL_URLS lets private and loopback addresses, plain http, and any port
through. Link-local addresses and others where clouds keep their secrets, multicast and the
unspecified address stay refused.

OutboundError
├── AddressRefusedError  the address is not allowed; the message is a sentence that says why
└── UnreachableError     no connection, no proper answer, or not in time
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
# Above LOWEST_FREE_PORT, and certainly no model: databases, caches, queues, control planes.
OTHER_SERVICES = frozenset(
    (1080, 1433, 1434, 1521, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3260, 3306, 3389)
    + (3632, 4045, 4369, 5060, 5061, 5432, 5672, 5900, 5984, 6000, 6379, 6443, 6566, 6665)
    + (6666, 6667, 6668, 6669, 6697, 7001, 7077, 8086, 8500, 9042, 9092, 9200, 9300, 10080)
    + (10250, 10255, 11211, 15672, 25565, 26379, 27017, 27018, 50070, 61616)
)
# Routable by the registry, but not on the public internet, or a way around what is.
_REFUSED = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT
        "168.63.129.16/32",  # Azure's host, from within its machines
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "2001::/23",  # Teredo and other protocols' own
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",
    )
)
# Where clouds tell a machine its secrets, outside of what is link-local. Refused always.
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
    """`kind`: "name" (no such host), "tls" (its certificate is not good), "answer", "connection".

    It never quotes the server."""

    def __init__(self, kind: str = "connection") -> None:
        super().__init__(f"not reachable ({kind})")
        self.kind = kind


# Addresses as they are written


def normal_url(url: str) -> str:
    """The URL in its one form, or AddressRefusedError: scheme, ASCII host, port, path; no slash
    at the end. Says nothing about where its host leads."""
    if _FORBIDDEN.search(url) or len(url) > MAX_URL_CHARS:
        raise AddressRefusedError(_("This is not the address of a web service."))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefusedError(_("This is not the address of a web service.")) from error
    allow_private = settings.ALLOW_PRIVATE_MODEL_URLS
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
    host = normal_host(parts.hostname)
    _check_port(port or (443 if parts.scheme == "https" else 80))
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in (None, 443 if parts.scheme == "https" else 80) else f":{port}"
    try:
        path = parts.path.encode("ascii").decode().rstrip("/")
    except UnicodeEncodeError as error:
        raise AddressRefusedError(_("The path may have plain letters only.")) from error
    return f"{parts.scheme}://{shown_host}{shown_port}{path}"


def normal_host(host: str) -> str:
    """A name in lower-case ASCII, or an IP address in its usual form. Raises AddressRefusedError.

    Names are turned to ASCII first and judged after, as a resolver would read them. Forms of an
    address that only some programs take for one (127.1, 0x7f.1, 2130706433, 0177.0.0.1) are none.
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
            raise wrong  # It was made another name on the way: “１２７” is 127, “ß” is ss.
    host = host.lower()
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(host) > 253:
        raise wrong
    if _NUMERIC.fullmatch(labels[-1]):
        raise wrong
    if len(labels) == 1 and not settings.ALLOW_PRIVATE_MODEL_URLS:
        raise AddressRefusedError(_("This host is not on the public internet."))
    return host


def _check_port(port: int) -> None:
    if port in (80, 443) or settings.ALLOW_PRIVATE_MODEL_URLS:
        return
    if port < LOWEST_FREE_PORT or port in OTHER_SERVICES:
        raise AddressRefusedError(_("This port is not one of a web service."))


# Addresses as numbers


def is_allowed(address: IPAddress) -> bool:
    """Whether we may connect to it, by the settings."""
    inside = _embedded(address)
    if any(part.is_link_local or part.is_multicast or part.is_unspecified for part in inside):
        return False
    if not _METADATA.isdisjoint(inside):
        return False
    return settings.ALLOW_PRIVATE_MODEL_URLS or is_public(address)


def is_public(address: IPAddress) -> bool:
    """Globally routable, and not this machine."""
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
    """The address, and the IPv4 address inside it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    found: list[IPAddress] = [address]
    if address.ipv4_mapped or address in _NAT64 or int(address) >> 32 == 0 and int(address) > 1:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found + [part for part in (address.sixtofour, *(address.teredo or ())) if part]


def _own_addresses() -> set[IPAddress]:
    """What a firewall keeps others from may be open to this machine itself."""
    own: set[IPAddress] = set()
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family in (socket.AF_INET, socket.AF_INET6):
                own.add(ipaddress.ip_address(address.address.partition("%")[0]))
    return own


def resolve(host: str, port: int, resolver: Resolver | None = None) -> list[str]:
    """The addresses to connect to, in order, each judged. Blocks. Raises OutboundError.

    One that is not allowed refuses them all: who mixes them means no good.
    """
    host = normal_host(host)
    _check_port(port)
    try:
        found = (resolver or socket.getaddrinfo)(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]
    except (OSError, UnicodeError) as error:
        raise UnreachableError("name") from error
    except ValueError as error:  # A scope ("fe80::1%eth0") is of a local network.
        raise AddressRefusedError(_("This host is not on the public internet.")) from error
    if not addresses:
        raise UnreachableError("name")
    if not all(is_allowed(address) for address in addresses):
        raise AddressRefusedError(_("This host is not on the public internet."))
    return list(dict.fromkeys(str(address) for address in addresses))
