"""Finish reasons: why an answer ended, normalized across providers.

`stop` and `length` are OpenAI's. `content_filter`: the provider's content rules ended the answer.
`tool_calls`: the model asked for a tool. `unknown`: the body ended normally, but nothing confirmed
that the answer is complete. Any other reason is kept as the provider gives it, and the page shows
it.
"""

import re
from collections.abc import Collection

UNKNOWN = "unknown"
_SYNONYMS = {
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
_NORMALIZED = {synonym: reason for reason, synonyms in _SYNONYMS.items() for synonym in synonyms}
_NO_REASON = frozenset(
    ("", "null", "none", "unspecified", "undefined", "not_finished", "false", "0")
)
# The provider failed, so the answer is incomplete.
_PROVIDER_FAILURE = re.compile(
    r"error|fail|abort|cancel|time_?out|timed_out|overload|unavailable|interrupt|disconnect"
    r"|preempt|insufficient|rate_limit|out_of_memory|^oom|killed|crash|shut_?down"
)


def normalize_reason(reason: object) -> str:
    """The normalized reason, in lower case; empty if there is none."""
    if isinstance(reason, list):
        reason = reason[0] if reason else ""
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason") or ""
    name = str(reason).strip().lower().replace("-", "_").replace(" ", "_")[:40]
    name = name.removeprefix("finish_reason_")
    return "" if name in _NO_REASON else _NORMALIZED.get(name, name)


def is_provider_failure(reason: str) -> bool:
    """Whether this normalized reason says that the provider failed."""
    return reason not in _SYNONYMS and _PROVIDER_FAILURE.search(reason) is not None


def code_of_empty(reason: str, has_thought: bool, omitted: Collection[str]) -> str:
    """The error code of an answer without text: a key of `chat.llm.errors.SENTENCES`."""
    if reason == "content_filter":
        return "refused"
    if reason == "tool_calls" or (omitted and set(omitted) == {"tool_call"}):
        return "tool_only"
    if omitted:
        return "no_text"
    if reason == "length":
        return "length_before_text"
    return "thought_only" if has_thought else "empty_answer"
