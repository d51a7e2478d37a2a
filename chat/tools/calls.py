"""What a tool is, a call of it, and what comes back, whichever server it belongs to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Status = Literal["ok", "error", "denied", "stopped", "timeout", "unknown"]


@dataclass(frozen=True, slots=True)
class Tool:
    """server: the id of its server; name, description, schema, annotations as the server gave
    them."""

    server: str
    name: str
    title: str
    description: str
    schema: dict[str, Any]
    annotations: dict[str, Any] = field(default_factory=dict)
    output_schema: dict[str, Any] | None = None
    # Whether a call may be made again when nobody knows if it took effect. Built-in tools, and what
    # the person or the operator marked; hints of servers decide nothing.
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """content: parts as MCP has them ({"type": "text", "text"}, image, audio, resource,
    resource_link), cut at 10 MB on the way in; structured: JSON or None (not repeated in content).
    """

    status: Status
    content: list[dict[str, Any]] = field(default_factory=list)
    structured: Any = None
    # A stable code and a sentence when the call failed on our side (server_down, sign_in_needed,
    # too_large, bad_answer, output_invalid ...); "" otherwise.
    code: str = ""
    sentence: str = ""


# progress: (progress, total | None, message)
Progress = Callable[[float, float | None, str], Awaitable[None]]


class ToolServer(Protocol):
    """A source of tools: the built-in ones, or one MCP server. Errors: ToolServerError(code,
    sentence) of chat/tools/errors.py from tools(); call() never raises for what a server does, it
    returns a ToolResult. Cancelling the task that awaits call() tells the server (2025 revisions:
    notifications/cancelled; later: closes the stream) and returns at once."""

    id: str
    name: str

    async def tools(self) -> list[Tool]: ...
    async def call(
        self, tool: Tool, arguments: dict[str, Any], key: str, progress: Progress
    ) -> ToolResult: ...
