"""Reads HOLDFAST_URL and ALLOWED_HOSTS as people write them, into the form that browsers send.

The public URL decides which host names are served and which origins may send commands. A path is
refused: all of Holdfast's addresses (pages, cookies, the service worker's scope, sockets, callbacks
of sign-in services) begin at the root.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

EXAMPLE = "https://chat.example.org"
DEFAULT_PORTS = {"http": 80, "https": 443}
# Host names: letters, digits, hyphens. Home networks have names with underscores.
NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
# Python's codec follows the old IDNA rules, which encode these characters unlike browsers.
AMBIGUOUS = re.compile("[ß\u03c2\u200c\u200d]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """All fields are empty when HOLDFAST_URL is not set."""

    # As in the header Origin, without a slash at its end.
    origin: str = ""
    scheme: str = ""
    # Without port; an IPv6 address without brackets.
    name: str = ""

    @property
    def host(self) -> str:
        """The host in the form of ALLOWED_HOSTS."""
        return _bracketed(self.name)


def public_url(value: str) -> PublicUrl:
    """Parse HOLDFAST_URL. Raises ImproperlyConfigured with one line that names the remedy."""
    value = value.strip()
    if not value:
        return PublicUrl()
    parts = _split(value)
    port, name = parts.port, _name(parts.hostname or "")
    if not name:
        raise ImproperlyConfigured(
            f"HOLDFAST_URL must look like {EXAMPLE}, but its host {parts.hostname!r} is no name "
            "and no address that a browser can open."
        )
    at_port = f":{port}" if port and port != DEFAULT_PORTS[parts.scheme] else ""
    origin = f"{parts.scheme}://{_bracketed(name)}{at_port}"
    if parts.path.strip("/") or parts.query or parts.fragment or set("?#") & set(value):
        raise ImproperlyConfigured(
            f"HOLDFAST_URL names more than a host, and Holdfast cannot be served below a path: "
            f"set HOLDFAST_URL={origin}, and give Holdfast a host name of its own in the proxy."
        )
    return PublicUrl(origin=origin, scheme=parts.scheme, name=name)


def _split(value: str) -> SplitResult:
    hint = f" Did you mean {EXAMPLE.partition('://')[0]}://{value}?"
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(
            f"HOLDFAST_URL must look like {EXAMPLE}: {_one_line(error)}."
        ) from error
    if "@" in value:  # Not the value itself: it may hold a password.
        raise ImproperlyConfigured(
            f"HOLDFAST_URL must look like {EXAMPLE}, without user name and password."
        )
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.port == 0:
        is_bare = "://" not in value and _name(value.partition("/")[0].partition(":")[0])
        raise ImproperlyConfigured(
            f"HOLDFAST_URL must look like {EXAMPLE}, but is {value!r}.{hint if is_bare else ''}"
        )
    return parts


def _name(name: str) -> str:
    """The host name as browsers send it; "" if it is invalid."""
    name = name.strip().lower()
    try:
        address = ip_address(name)
    except ValueError:
        pass
    else:
        is_scoped = isinstance(address, IPv6Address) and address.scope_id
        return "" if is_scoped else str(address)
    if AMBIGUOUS.search(name):
        return ""
    try:
        ascii_name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        return ""
    ascii_name = ascii_name.removesuffix(".")
    return ascii_name if NAME.fullmatch(ascii_name) and len(ascii_name) <= 253 else ""


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def allowed_hosts(values: list[str]) -> list[str]:
    """ALLOWED_HOSTS in Django's form. If an entry is a URL, as people copy it from the browser,
    its host is used."""
    return [host for value in values if (host := _allowed_host(value.strip()))]


def _allowed_host(value: str) -> str:
    if value == "*" or not value:
        return value
    is_wide = value.startswith((".", "*."))  # A domain and all below it.
    _, has_scheme, after = value.partition("://")
    host = after if has_scheme else value
    host = re.split(r"[/?#]", host.removeprefix("*").removeprefix("."), maxsplit=1)[0]
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    name = _name(host)
    if not name:
        raise ImproperlyConfigured(
            "ALLOWED_HOSTS takes host names such as chat.example.org or 192.168.1.20, separated "
            f"by commas, but has {value!r}."
        )
    return f".{name}" if is_wide else _bracketed(name)
