"""The calls of tools in a message, as the fold has them: `Message.tools`.

Each call is a dict:

id         a UUID; None while the model writes its arguments
attempt    the attempt that wrote it
step       counts from 1; None while it is written
index      its place among the calls of its step, from 0
server, tool, title
input      its arguments as the model writes them: JSON. Later only if they are no JSON object
arguments  an object, once they are whole
length     bytes of the message's text before it; None while it is written
state      "writing", "called", "running", or the status of its result
started    the entry since which it runs
result     a dict of RESULT, as `tool.result` has them

The same as static/js/chat/log/tool_calls.js. Changed calls are new dicts.
"""

from typing import Any

from chat import events as ev

Call = dict[str, Any]
NAMES = ("server", "tool", "title")
RESULT = ("status", "duration_ms", "content", "structured", "code", "sentence", "cut")
WAITS = ("called", "running")


def without_written(calls: list[Call] | None) -> list[Call] | None:
    """The calls without those that were still written when their attempt ended."""
    return [call for call in calls or () if call["state"] != "writing"] or None


def write(calls: list[Call] | None, event: ev.ToolInput) -> list[Call]:
    """Add a piece of the arguments that the model writes."""
    known = calls or []
    for number, call in enumerate(known):
        if call["state"] == "writing" and call["index"] == event.index:
            longer = call | {"input": call["input"] + event.text}
            return [*known[:number], longer, *known[number + 1 :]]
    names = {"server": event.server, "tool": event.tool, "title": event.title}
    return [*known, _new(names, event.attempt, event.index) | {"input": event.text}]


def add_step(calls: list[Call] | None, event: ev.ToolCall) -> list[Call]:
    """Replace what was written by the calls of a whole step."""
    kept = without_written(calls) or []
    known = {call["id"] for call in kept}
    for made in event.calls:
        if made["id"] not in known:
            call = _new(made, event.attempt, made["index"])
            call |= {"id": made["id"], "step": event.step, "length": event.length}
            call |= {"input": made.get("input", ""), "arguments": made.get("arguments")}
            kept.append(call | {"state": "called"})
    return kept


def start(calls: list[Call] | None, event: ev.ToolStarted, entry_id: str) -> list[Call] | None:
    return _changed(calls, event.call, {"state": "running", "started": entry_id})


def finish(calls: list[Call] | None, event: ev.ToolResult) -> list[Call] | None:
    """Add a result; the first result of a call counts."""
    result = {name: getattr(event, name) for name in RESULT}
    return _changed(calls, event.call, {"state": event.status, "result": result})


def _new(names: dict[str, Any], attempt: int, index: int) -> Call:
    return {
        "id": None,
        "attempt": attempt,
        "step": None,
        "index": index,
        **{name: names.get(name) for name in NAMES},
        "input": "",
        "arguments": None,
        "length": None,
        "state": "writing",
        "started": None,
        "result": None,
    }


def _changed(calls: list[Call] | None, call_id: str, fields: dict[str, Any]) -> list[Call] | None:
    """The calls with other fields of one that has no result yet."""
    return calls and [
        call | fields if call["id"] == call_id and call["state"] in WAITS else call
        for call in calls
    ]
