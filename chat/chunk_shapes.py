"""The many shapes in which servers that speak OpenAI's protocol say text, thinking and errors."""

from typing import Any

_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text")
_KINDS = {
    "image": ("image", "images", "image_url", "output_image", "input_image", "inline_data"),
    "audio": ("audio", "output_audio", "input_audio", "audio_url"),
    "video": ("video", "video_url"),
    "file": ("file", "files", "document"),
    "tool_call": ("tool_call", "tool_calls", "tool_use", "function_call"),
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}
_NO_LOSS = frozenset(("reference", "annotation", "citation"))  # what the text says besides
_PINGS = frozenset(("ping", "pong", "keepalive", "keep-alive", "heartbeat", "info"))
# Of a chunk without choices, what only an error has.
_ERROR_FIELDS = ("error", "errors", "detail", "error_msg", "error_message", "errorMessage") + (
    ("error_code", "errorCode", "fault", "err", "exception")
)


def plain_text(value: object) -> str:
    """The text of a string, of a part {"type": "text"}, or of a list of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(plain_text(part) for part in value)
    if not isinstance(value, dict):
        return ""
    text = value.get("text")
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else ""


def kind_of(part: object) -> str:
    """What a part of an answer is that is no text; empty when nothing is lost without it."""
    if not isinstance(part, dict):
        return ""
    name = part.get("type")
    if name in ("text", "output_text", None) or name in _NO_LOSS:
        return ""
    return _KIND_OF.get(str(name), "other")


def thought_of(delta: dict[str, Any]) -> str:
    """The thinking that a delta holds: in the first of the fields that says something, for some
    servers fill two with the same."""
    for field in _THOUGHT_FIELDS:
        if (value := delta.get(field)) and (text := plain_text(value)):
            return text
    found: list[str] = []
    details = delta.get("reasoning_details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            found.append(plain_text(detail.get("text") or detail.get("summary")))
    return "".join(found)


def error_in(chunk: dict[str, Any]) -> object:
    """The error that a chunk without choices is, or None."""
    if str(chunk.get("type")).lower() in _PINGS:
        return None
    for field in _ERROR_FIELDS:
        if error := chunk.get(field):
            if isinstance(error, dict):
                return {"error": error}
            return {k: chunk[k] for k in ("code", "type", "status") if k in chunk} | {
                "error": error
            }
    status = chunk.get("base_resp")  # MiniMax
    if isinstance(status, dict) and status.get("status_code"):
        return {"error": {"code": status["status_code"], "message": status.get("status_msg")}}
    if "error" in (chunk.get("object"), chunk.get("type"), chunk.get("status")):
        return {"error": chunk}
    said = chunk.get("message") or chunk.get("msg")
    if isinstance(said, str) and said.lower() not in ("ok", "success"):
        if any(chunk.get(key) for key in ("code", "type", "status", "statusCode", "status_code")):
            return {"error": chunk}
        if len(chunk) == 1:
            return {"error": chunk}
    return None


def known_shape(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """A chunk of another shape as OpenAI would say it; None when it is none that is known."""
    data = chunk.get("data")
    if isinstance(data, dict) and data.get("choices"):  # a gateway's {"code": 0, "data": {…}}
        return data
    message = chunk.get("message")
    if "done" in chunk and (isinstance(message, dict) or isinstance(chunk.get("response"), str)):
        delta = message if isinstance(message, dict) else {"content": chunk["response"]}
        return _of_ollama(chunk, delta)
    return None


def _of_ollama(chunk: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    reason = (chunk.get("done_reason") or "stop") if chunk.get("done") else None
    usage = None
    if chunk.get("done"):
        counts = (chunk.get("prompt_eval_count"), chunk.get("eval_count"))
        usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1]}
    return {"choices": [{"delta": delta, "finish_reason": reason}], "usage": usage}
