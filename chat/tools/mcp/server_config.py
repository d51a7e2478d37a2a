"""What is needed to reach one MCP server."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

# "auto": Streamable HTTP, and the older SSE transport for a server that does not speak it.
Transport = Literal["auto", "http", "sse", "stdio"]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Configurations compare by all fields, so a connection is never used with other secrets.

    `url` has no query: `query` may be a secret, and libraries log addresses. `owner` is the id of
    the person, "" for a server of the operator. `resolve(host, port)` returns the addresses that
    may be connected to; it blocks. `command` starts a program that speaks over its standard input
    and output; it gets the variables of `environment` and no others of ours that are secret.
    """

    id: str
    name: str
    owner: str = ""
    transport: Transport = "auto"
    url: str = ""
    query: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    resolve: Callable[[str, int], list[str]] | None = None
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""
