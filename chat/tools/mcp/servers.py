"""The MCP servers that a person may use."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from chat.tools.mcp.client import McpServer
from chat.tools.mcp.server_config import ServerConfig


async def servers_of(person_id: str) -> list[McpServer]:
    """The operator's servers, in the order of their file. They are the same for everybody."""
    return [McpServer(operator_config(name)) for name in settings.TOOL_SERVERS]


def operator_config(name: str) -> ServerConfig:
    """Addresses of the operator are not checked: they may be in the private network."""
    server: dict[str, Any] = settings.TOOL_SERVERS[name]
    shown = server.get("name") or name
    if "command" in server:
        return ServerConfig(
            id=name,
            name=shown,
            transport="stdio",
            command=tuple(server["command"]),
            environment=tuple(server.get("environment", {}).items()),
        )
    parts = urlsplit(server["url"])
    return ServerConfig(
        id=name,
        name=shown,
        transport=server.get("transport", "auto"),
        url=f"{parts.scheme}://{parts.netloc}{parts.path}",
        query=parts.query,
        headers=tuple(server.get("headers", {}).items()),
    )
