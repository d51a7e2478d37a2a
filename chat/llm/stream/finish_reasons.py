"""What providers say of an answer's end, in our words.

`stop` and `length` are OpenAI's. `content_filter`: the provider's rules ended it. `tool_calls`: the
model asked for a tool. `unknown`: the body ended in order, but nothing said that the answer is
whole. Any other reason is kept as the provider says it, and the page says that it did.
"""

import re
from collections.abc import Collection

UNKNOWN = "unknown"
_SAME = {
    "stop": ("end_turn", "eos", "eos_token", "stop_sequence", "stop_token", "done", "complete")
    + ("completed", "end", "finished", "end_of_text", "success")
    + ("true", "1"),  # Google's number for it
    "length": ("max_tokens", "max_output_tokens", "max_completion_tokens", "token_limit")
    + ("model_length", "context_length", "max_length", "model_context_window_exceeded")
    + ("max_tokens_exceeded", "context_length_exceeded", "length_limit"),
    "tool_calls": ("function_call", "tool_call", "tool_use", "malformed_function_call")
    + ("malformed_tool_call", "unexpected_tool_call", "too_many_tool_calls"),
    "content_filter": ("safety", "sensitive", "content_filtered", "recitation", "blocklist")
    + ("prohibited_content", "spii", "refusal", "moderation", "content_policy", "image_safety")
    + ("guardrail_intervened", "model_armor", "language"),
}
_OURS = {name: ours for ours, names in _SAME.items() for name in names}
_NONE = frozenset(("", "null", "none", "unspecified", "undefined", "not_finished", "false", "0"))
# The provider could not go on: what came is the beginning of an answer.
_BROKEN = re.compile(
    r"error|fail|abort|cancel|time_?out|timed_out|overload|unavailable|interrupt|disconnect"
    r"|preempt|insufficient|rate_limit|out_of_memory|^oom|killed|crash|shut_?down"
)


def ours(reason: object) -> str:
    """The reason in our words, empty for none; Google and others write theirs in capitals."""
    if isinstance(reason, list):
        reason = reason[0] if reason else ""
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason") or ""
    name = str(reason).strip().lower().replace("-", "_").replace(" ", "_")[:40]
    name = name.removeprefix("finish_reason_")
    return "" if name in _NONE else _OURS.get(name, name)


def is_broken(reason: str) -> bool:
    """Whether this reason, in our words, says that the provider could not go on."""
    return reason not in _SAME and _BROKEN.search(reason) is not None


def code_of_empty(reason: str, has_thought: bool, omitted: Collection[str]) -> str:
    """Why an answer that holds no text has ended: a key of `model_errors.SENTENCES`."""
    if reason == "content_filter":
        return "refused"
    if reason == "tool_calls" or (omitted and set(omitted) == {"tool_call"}):
        return "tool_only"
    if omitted:
        return "no_text"
    if reason == "length":
        return "length_before_text"
    return "thought_only" if has_thought else "empty_answer"
