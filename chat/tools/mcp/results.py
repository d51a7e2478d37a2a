"""What came back from a call, as ToolResult."""

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from chat.tools.calls import Status, Tool, ToolResult
from chat.tools.mcp import problems
from chat.tools.mcp.http import Exchange
from chat.tools.mcp.output_check import is_as_declared

if TYPE_CHECKING:
    from mcp.shared.exceptions import MCPError

MAX_ERROR_CHARS = 2_000
MAX_PARTS = 1_000
# After these nobody knows whether the call took effect.
UNKNOWN = frozenset({problems.CONNECTION_LOST})


async def to_result(tool: Tool, answer: Any, *, declined: bool) -> ToolResult:
    """The result of a call that was answered: a `CallToolResult` of the library."""
    content = [
        part.model_dump(mode="json", by_alias=True, exclude_none=True)
        for part in answer.content[:MAX_PARTS]
    ]
    structured = answer.structured_content
    if structured is not None:
        content = [part for part in content if not _repeats(part, structured)]
    if answer.is_error:
        return ToolResult("error", content, structured)
    code = problems.INPUT_DECLINED if declined else ""
    if tool.output_schema is not None and not await _is_as_declared(tool, structured):
        code = problems.OUTPUT_INVALID
    return ToolResult("ok", content, structured, code, problems.sentence(code) if code else "")


async def _is_as_declared(tool: Tool, structured: Any) -> bool:
    if structured is None:
        return False
    return await asyncio.to_thread(is_as_declared, tool.output_schema or {}, structured)


def _repeats(part: dict[str, Any], structured: Any) -> bool:
    """Whether a text is the structured result once more, which servers send for old clients."""
    if part.get("type") != "text":
        return False
    try:
        return bool(orjson.loads(part["text"]) == structured)
    except orjson.JSONDecodeError:
        return False


def to_failure(code: str, exchange: Exchange) -> ToolResult:
    """The result of a call that has no answer. A call that may have taken effect is `unknown`."""
    status: Status = "unknown" if code in UNKNOWN and exchange.sent else "error"
    if code in UNKNOWN and not exchange.sent:
        code = problems.SERVER_DOWN
    return ToolResult(status, code=code, sentence=problems.sentence(code))


def to_refusal(error: "MCPError") -> ToolResult:
    """The result of a call that the server answered with an error. Its words are for the model."""
    text = error.message[:MAX_ERROR_CHARS]
    content = [{"type": "text", "text": text}] if text else []
    code = problems.SERVER_ERROR
    return ToolResult("error", content, code=code, sentence=problems.sentence(code))
