"""The shapes in which servers that speak OpenAI's protocol send text, thinking and errors."""

import re
from typing import Any

from chat.llm.errors import lower_names

_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text") + (
    ("thinking_content", "thoughts", "thinking_blocks", "reasoning_details")
)
_THOUGHT_PLACES = ("text", "content", "thinking", "reasoning", "reasoning_content", "summary")
_KINDS = {
    "image": ("image", "images", "image_url", "output_image", "input_image", "inline_data"),
    "audio": ("audio", "output_audio", "input_audio", "audio_url"),
    "video": ("video", "video_url"),
    "file": ("file", "files", "document"),
    "tool_call": ("tool_call", "tool_calls", "tool_use", "function_call"),
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}
_NO_LOSS = frozenset(("reference", "annotation", "citation"))  # Parts that only annotate text.
_PINGS = frozenset(("ping", "pong", "keepalive", "keep-alive", "heartbeat", "info", "status"))
# Fields that, among chunks without choices, only errors have. Compared in lower case.
_ERROR_FIELDS = ("error", "errors", "detail", "error_msg", "error_message", "errormessage") + (
    ("errormsg", "err_msg", "errmsg", "error_code", "errorcode", "err_no", "errno")
    + ("fault", "err", "exception")
)
_CODE_FIELDS = ("code", "type", "status", "statuscode", "status_code", "__type") + (
    ("error_code", "errorcode")
)
_NO_FAILURE = re.compile(r"queue|progress|notice|warning|debug|^(log\b|start|status|keep)")
_FAILED = frozenset(("error", "failed", "failure", "fail", "exception"))
# Values of a code or a status that are no failure.
_FINE = frozenset(("", "0", "200", "00000", "ok", "success", "succeeded", "successful", "true")) | {
    *("none", "null", "queued", "pending", "waiting", "processing", "in_progress", "running"),
    *("loading", "started", "starting", "created", "completed", "info", "message"),
}
_ENVELOPES = ("header", "response", "data", "result", "meta")  # These may contain a code or error.


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
    """The kind of a part that is not text; empty if leaving the part out loses nothing."""
    if not isinstance(part, dict):
        return ""
    name = part.get("type")
    if name in ("text", "output_text", None) or name in _NO_LOSS:
        return ""
    return _KIND_OF.get(str(name), "other")


def picture_name(part: object) -> str:
    """The address of a picture in a part: {"image_url": {"url": …}}, {"url": …}, or a string."""
    for key in ("image_url", "url"):
        if isinstance(part, dict) and part.get(key):
            part = part[key]
    return part if isinstance(part, str) else ""


def reasoning_of(delta: dict[str, Any]) -> str:
    """The thinking in a delta: the first field that has any, because some servers send the same
    text in two fields."""
    for field in _THOUGHT_FIELDS:
        if (value := delta.get(field)) and (text := reasoning_text(value)):
            return text
    nested = delta.get("provider_specific_fields")  # LiteLLM
    return reasoning_of(nested) if isinstance(nested, dict) else ""


def reasoning_text(value: object) -> str:
    """The thinking in a string, in an object of any known form, or in a list of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(reasoning_text, value))
    if not isinstance(value, dict):
        return ""
    parts = (value[place] for place in _THOUGHT_PLACES if value.get(place))
    return next((text for part in parts if (text := reasoning_text(part))), "")


def delta_of(choice: dict[str, Any], *, has_text: bool) -> dict[str, Any] | None:
    """The delta of a choice, which may be a plain string.

    None if the caller must read the choice's `message` instead: there is no delta, or it is empty
    and no earlier delta had text (`has_text`).
    """
    delta = choice.get("delta")
    if isinstance(delta, str):
        return {"content": delta}
    if not isinstance(delta, dict):
        return None
    is_empty = not any(delta.get(key) for key in delta if key != "role")
    has_more = isinstance(choice.get("message"), dict) or isinstance(choice.get("text"), str)
    if is_empty and has_more and not has_text:
        return None
    if isinstance(delta.get("text"), str) and not delta.get("content"):
        return delta | {"content": delta["text"]}
    return delta


def find_error(chunk: dict[str, Any], depth: int = 0) -> object:
    """The error in a chunk without choices; None if the chunk is not an error."""
    fields = lower_names(chunk)
    if str(fields.get("type")).lower() in _PINGS:
        return None
    codes = {name: fields[name] for name in _CODE_FIELDS if name in fields}
    for name in _ERROR_FIELDS:
        error = fields.get(name)
        if error is True:
            return {"error": fields | {"error": None}}
        if error and not _is_fine(error):
            is_whole = isinstance(error, dict)
            return {"error": error} if is_whole else codes | {"error": error}
    for name, inner in fields.items():  # Amazon's {"throttlingException": {…}}
        if isinstance(inner, dict) and inner and name.endswith(("exception", "error")):
            return {"error": {"type": name} | inner}
    status = fields.get("base_resp")  # MiniMax
    if isinstance(status, dict) and status.get("status_code"):
        return {"error": {"code": status["status_code"], "message": status.get("status_msg")}}
    for name in _ENVELOPES if not depth else ():
        if isinstance(inner := fields.get(name), dict) and (error := find_error(inner, 1)):
            return error
    return {"error": fields} if _reports_failure(fields, codes) else None


def _reports_failure(fields: dict[str, Any], codes: dict[str, Any]) -> bool:
    """Whether the fields of a chunk without an error field say that something failed."""
    words = {str(fields.get(name)).lower() for name in ("object", "type", "status", "result")}
    if words & _FAILED or fields.get("success") is False or fields.get("ok") is False:
        return True
    message = fields.get("message") or fields.get("msg") or fields.get("title")
    bad = [code for code in codes.values() if not (code is None or _is_fine(code))]
    bad = [code for code in bad if not _NO_FAILURE.search(str(code).lower())]
    if isinstance(message, str) and message:
        return bool(bad) or (len(fields) == 1 and message.lower() not in _FINE)
    statuses = [fields.get(name) for name in ("status", "statuscode", "status_code", "code")]
    return any(type(status) is int and 400 <= status < 600 for status in statuses)


def _is_fine(code: object) -> bool:
    return not isinstance(code, dict | list) and str(code).strip().lower() in _FINE


def to_openai_shape(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """Converts a chunk of another known shape to OpenAI's; None for unknown shapes."""
    data = chunk.get("data")
    if isinstance(data, dict) and data.get("choices"):  # a gateway's {"code": 0, "data": {…}}
        return data
    if isinstance(data, list) and all(isinstance(item, dict) for item in data):
        pictures = [{"url": item["b64_json"]} for item in data if item.get("b64_json")]
        if pictures:
            return _from_images_api(chunk, pictures)
    message = chunk.get("message")
    if "done" in chunk and (isinstance(message, dict) or isinstance(chunk.get("response"), str)):
        delta = message if isinstance(message, dict) else {"content": chunk["response"]}
        return _from_ollama(chunk, delta)
    return None


def _from_ollama(chunk: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    reason = (chunk.get("done_reason") or "stop") if chunk.get("done") else None
    usage = None
    if chunk.get("done"):
        counts = (chunk.get("prompt_eval_count"), chunk.get("eval_count"))
        usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1]}
    return {"choices": [{"delta": delta, "finish_reason": reason}], "usage": usage}


def _from_images_api(chunk: dict[str, Any], pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """The response of OpenAI's `/images/generations`."""
    choices = [{"delta": {"images": pictures}, "finish_reason": "stop"}]
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        usage = usage | {
            "prompt_tokens": usage.get("input_tokens"),
            "completion_tokens": usage.get("output_tokens"),
            "prompt_tokens_details": usage.get("input_tokens_details"),
            "completion_tokens_details": usage.get("output_tokens_details")
            or {"image_tokens": usage.get("output_tokens")},
        }
    return {"choices": choices, "usage": usage}
