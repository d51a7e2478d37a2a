"""A server of the `mcp` library in a process of its own: `sdk_server.py TRANSPORT PORT LOG`.

It writes each execution of a tool to LOG, with the arguments and what the request said.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import mcp_types
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

TRANSPORT, PORT, LOG = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
server = MCPServer("Test server")


def note(name: str, **values: object) -> None:
    with LOG.open("a") as log:
        log.write(json.dumps({"tool": name, **values}) + "\n")
        log.flush()
        os.fsync(log.fileno())


class Sum(BaseModel):
    total: int


@server.tool()
async def add(a: int, b: int, ctx: Context) -> Sum:
    """Adds two numbers."""
    meta = ctx.request_context.meta or {}
    headers = dict(ctx.headers or {}) if hasattr(ctx, "headers") else {}
    note("add", a=a, b=b, meta=dict(meta), headers=headers)
    return Sum(total=a + b)


@server.tool()
async def fail() -> str:
    """Fails."""
    note("fail")
    raise ValueError("the disk is on fire")


@server.tool(structured_output=False)
async def picture() -> list[mcp_types.ContentBlock]:
    """Several kinds of parts."""
    return [
        mcp_types.TextContent(text="look"),
        mcp_types.ImageContent(data="aGk=", mime_type="image/png"),
        mcp_types.ResourceLink(uri="https://example.org/a", name="a"),
    ]


@server.tool(structured_output=False)
async def steps(ctx: Context) -> str:
    """Reports its progress."""
    for number in range(3):
        await ctx.report_progress(number + 1, 3, f"step {number + 1}")
    return "done"


@server.tool(structured_output=False)
async def wait(seconds: Annotated[float, "how long"]) -> str:
    """Waits, and notes whether it was cancelled."""
    note("wait")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("cancelled")
        raise
    note("waited")
    return "waited"


@server.tool(structured_output=False)
async def environment() -> str:
    """Its variables and its process id."""
    return json.dumps({"pid": os.getpid(), "names": sorted(os.environ)})


if __name__ == "__main__":
    if TRANSPORT == "stdio":
        server.run("stdio")
    elif TRANSPORT == "sse":
        server.run("sse", port=PORT)
    else:
        server.run("streamable-http", port=PORT, json_response=TRANSPORT == "json")
