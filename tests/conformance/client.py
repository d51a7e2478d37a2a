"""Our MCP client as the conformance suite starts it: with the address of a scenario's server.

It lists the tools as an answer does, and calls those that the scenario wants to be called.
"""

import asyncio
import json
import os
import sys
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

settings.configure(USE_I18N=False, ALLOW_PRIVATE_MODEL_URLS=False)

from accounts.provider_keys.address_filter import resolve  # noqa: E402
from chat.tools.calls import Tool, ToolResult  # noqa: E402
from chat.tools.errors import ToolServerError  # noqa: E402
from chat.tools.mcp import connections  # noqa: E402
from chat.tools.mcp.client import McpServer  # noqa: E402
from chat.tools.mcp.server_config import ServerConfig  # noqa: E402

# Every other tool is called without arguments.
ARGUMENTS: dict[str, dict[str, Any]] = {"add_numbers": {"a": 5, "b": 3}}
KEYS = "00000000-0000-5000-8000-{:012d}"


async def main(url: str) -> int:
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc}{parts.path}"
    config = ServerConfig(
        id="suite",
        name="Suite",
        url=address,
        query=parts.query,
        resolve=partial(resolve, private=True),
    )
    server = McpServer(config)
    try:
        tools = {tool.name: tool for tool in await server.tools()}
        results = await asyncio.gather(
            *(
                server.call(tools[name], arguments, KEYS.format(number), _ignore)
                for number, (name, arguments) in enumerate(_calls(tools))
            )
        )
    except ToolServerError as error:
        sys.stderr.write(f"{error.code}: {error.sentence}\n")
        return 1
    finally:
        await connections.close_all()
    for result in results:
        sys.stderr.write(_line(result) + "\n")
    return 0


def _calls(tools: dict[str, Tool]) -> list[tuple[str, dict[str, Any]]]:
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    if wanted := context.get("toolCalls"):
        return [(call["name"], call["arguments"]) for call in wanted if call["name"] in tools]
    if "json_schema_2020_12_tool" in tools:
        schema = tools["json_schema_2020_12_tool"].schema
        echo = next(name for name in tools if name != "json_schema_2020_12_tool")
        return [(echo, {"schema": schema})]
    return [(name, ARGUMENTS.get(name, {})) for name in tools]


def _line(result: ToolResult) -> str:
    return f"{result.status} {result.code} {json.dumps(result.content)[:300]}"


async def _ignore(progress: float, total: float | None, message: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
