"""The built-in tools as one server. Each may run again, because none changes anything."""

from collections.abc import Callable
from typing import Any

from chat.tools.builtin import arithmetic, zones
from chat.tools.calls import Progress, Tool, ToolResult


def _tool(name: str, title: str, description: str, **parameters: str) -> Tool:
    """A read-only tool whose arguments are all strings, and all required."""
    schema = {
        "type": "object",
        "properties": {
            key: {"type": "string", "description": parameters[key]} for key in parameters
        },
        "required": list(parameters),
        "additionalProperties": False,
    }
    hints = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
    return Tool("builtin", name, title, description, schema, hints, repeatable=True)


_TOOLS: dict[str, tuple[Tool, Callable[..., str]]] = {
    tool.name: (tool, function)
    for tool, function in (
        (
            _tool(
                "calculate",
                "Calculator",
                "Computes arithmetic. Whole numbers are exact, others have 15 digits.",
                expression="For example (17.5 * 3 + 2**10) / sqrt(2). ** is the power.",
            ),
            arithmetic.evaluate,
        ),
        (
            _tool(
                "current_time",
                "Clock",
                "Tells the present date and time in a time zone.",
                zone="A zone of the IANA database, such as Europe/Berlin or UTC.",
            ),
            zones.now,
        ),
        (
            _tool(
                "convert_time",
                "Time zones",
                "Converts a date and time from one time zone to another.",
                time="ISO 8601, such as 2026-03-29T14:30.",
                from_zone="The zone of the given time, such as Europe/Berlin.",
                to_zone="The zone to convert to, such as America/New_York.",
            ),
            zones.convert,
        ),
    )
}


class BuiltinServer:
    """A chat.tools.calls.ToolServer."""

    id = "builtin"
    name = "Holdfast"

    async def tools(self) -> list[Tool]:
        return [tool for tool, _ in _TOOLS.values()]

    async def call(
        self, tool: Tool, arguments: dict[str, Any], key: str, progress: Progress
    ) -> ToolResult:
        """Runs at once; wrong arguments give an error whose text is for the model."""
        if tool.name not in _TOOLS:
            return _error("There is no tool of this name.")
        known, function = _TOOLS[tool.name]
        required = known.schema["required"]
        given = arguments.values()
        if set(arguments) != set(required) or not all(isinstance(value, str) for value in given):
            return _error(f"Give these arguments, each a string: {', '.join(required)}.")
        try:
            text = function(**arguments)
        except (arithmetic.ArithmeticRefused, zones.TimeRefused) as refused:
            return _error(str(refused))
        return ToolResult("ok", [{"type": "text", "text": text}])


def _error(text: str) -> ToolResult:
    return ToolResult("error", [{"type": "text", "text": text}])
