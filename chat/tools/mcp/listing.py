"""The list of a server's tools, read within bounds. What a server sends is hostile input."""

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from chat.tools.calls import Tool
from chat.tools.mcp import problems

if TYPE_CHECKING:
    from chat.tools.mcp.session import Session

MAX_TOOLS = 1_000
MAX_PAGES = 100
MAX_DEPTH = 40  # of nested objects and lists in a schema
MAX_SCHEMA_BYTES = 128 * 1024
MAX_NAME_CHARS = 128
MAX_TITLE_CHARS = 200
MAX_DESCRIPTION_CHARS = 16_000

logger = logging.getLogger(__name__)


async def read_tools(session: "Session", server: str) -> tuple[list[Tool], dict[str, str]]:
    """The usable tools, and why others are not used: {name: code}. Raises ToolServerError, or an
    error of the library.

    Codes: duplicate_name, bad_name, bad_header (`x-mcp-header`), schema_too_deep, schema_too_large,
    bad_schema.
    """
    from mcp_types import PaginatedRequestParams

    session.listed.clear()
    found: list[Any] = []
    cursor, seen = None, set[str]()
    for _ in range(MAX_PAGES):
        params = None if cursor is None else PaginatedRequestParams(cursor=cursor)
        page = await session.list_tools(params=params)
        found += page.tools
        cursor = page.next_cursor
        if len(session.listed) > MAX_TOOLS:
            raise problems.problem(problems.TOO_MANY_TOOLS)
        if not cursor:
            break
        if cursor in seen:  # It would never end.
            raise problems.problem(problems.TOO_MANY_TOOLS)
        seen.add(cursor)
    else:
        raise problems.problem(problems.TOO_MANY_TOOLS)
    return _sort_out(found, Counter(session.listed), server)


def _sort_out(
    found: list[Any], listed: Counter[str], server: str
) -> tuple[list[Tool], dict[str, str]]:
    kept = {tool.name for tool in found}
    refused = {name[:MAX_NAME_CHARS]: "bad_header" for name in listed if name not in kept}
    tools = []
    for item in found:
        if code := _fault(item, listed):
            refused[item.name[:MAX_NAME_CHARS]] = code
        else:
            tools.append(_tool(item, server))
    return tools, refused


def _fault(item: Any, listed: Counter[str]) -> str:
    if listed[item.name] > 1:  # Which of them runs is the server's choice, so none is used.
        return "duplicate_name"
    if not item.name.strip() or not item.name.isprintable() or len(item.name) > MAX_NAME_CHARS:
        return "bad_name"
    for schema in (item.input_schema, item.output_schema):
        if schema is None:
            continue
        if is_too_deep(schema):
            return "schema_too_deep"
        if len(orjson.dumps(schema)) > MAX_SCHEMA_BYTES:
            return "schema_too_large"
    return "" if item.input_schema.get("type", "object") == "object" else "bad_schema"


def is_too_deep(value: Any, most: int = MAX_DEPTH) -> bool:
    """Whether objects and lists are nested deeper than `most`."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _tool(item: Any, server: str) -> Tool:
    annotations = (
        item.annotations.model_dump(by_alias=True, exclude_none=True) if (item.annotations) else {}
    )
    title = item.title or annotations.get("title") or item.name
    return Tool(
        server=server,
        name=item.name,
        title=title[:MAX_TITLE_CHARS],
        description=(item.description or "")[:MAX_DESCRIPTION_CHARS],
        schema=item.input_schema,
        annotations=annotations,
        output_schema=item.output_schema,
    )
