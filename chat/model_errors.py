"""What can go wrong between us and a model, in our own words.

ProviderError(code)     anything a provider did; `code` is a key of SENTENCES
└── ContextTooLong      code context_too_long; `limit_tokens` when the provider said its limit
UnknownModelError       no endpoint offers this model id

A provider's own text never leaves `classify`: it may quote the prompt, a key or an address.
"""

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

SENTENCES = {
    "provider_auth": "The model's provider did not accept the key. Check the key in the settings.",
    "key_missing": (
        "The key for this model was removed. Add one in the settings, or choose another model."
    ),
    "key_unreadable": "Your key for this model cannot be read. Enter it again in the settings.",
    "address_refused": (
        "The address of your key is not on the public internet. Change it in the settings."
    ),
    "provider_credit": "The account at the model's provider has no credit left. Top it up there.",
    "model_not_found": "The provider does not offer this model any more. Choose another one.",
    "rate_limited": "The provider is limiting how fast we may ask. Wait a little and try again.",
    "provider_down": "The model's provider cannot be reached or is failing. Try again in a while.",
    "provider_timeout": "The model did not begin to answer in time. Try again.",
    "stream_cut": "The provider broke the answer off. Continue to get the rest.",
    "stream_stalled": "The model stopped sending in the middle. Continue to get the rest.",
    "bad_stream": "The provider sent something that is no answer. Try again, or check its address.",
    "empty_answer": "The model answered with nothing. Try again, or ask differently.",
    "context_too_long": (
        "This is longer than the model can read at once. "
        "Shorten the last message, split it in parts, or choose a model with a larger context."
    ),
    "bad_request": "The provider did not accept the request for this model. Choose another model.",
    "refused": "The provider's content rules refused this message. Write it differently.",
}
PERMANENT = frozenset(
    ("provider_auth", "provider_credit", "model_not_found", "context_too_long")
    + ("bad_request", "refused", "key_missing", "key_unreadable", "address_refused")
)
# A provider that asks for more patience than this is not retried by itself: the person decides.
MAX_RETRY_AFTER_S = 60.0

_BY_STATUS = {
    401: "provider_auth",
    402: "provider_credit",
    403: "provider_auth",
    404: "model_not_found",
    408: "provider_timeout",
    409: "provider_down",
    413: "context_too_long",
    425: "provider_down",
    429: "rate_limited",
}
_BY_WORD = {
    "invalid_api_key": "provider_auth",
    "authentication_error": "provider_auth",
    "permission_error": "provider_auth",
    "insufficient_quota": "provider_credit",
    "billing_error": "provider_credit",
    "model_not_found": "model_not_found",
    "not_found_error": "model_not_found",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "server_error": "provider_down",
    "overloaded_error": "provider_down",
    "context_length_exceeded": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "content_filter": "refused",
    "content_policy_violation": "refused",
    "invalid_request_error": "bad_request",
}
_TOO_LONG = re.compile(
    r"maximum context length|context (length|window|size)|prompt is too long|input is too long"
    r"|too many (input )?tokens|exceeds the (model'?s )?max",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"maximum context length is (\d{3,8})|(\d{3,8}) maximum", re.IGNORECASE)


class ProviderError(Exception):
    """`permanent`: trying again by itself cannot help. `retry_after_s`: what the provider asked."""

    def __init__(
        self, code: str, *, permanent: bool | None = None, retry_after_s: float | None = None
    ) -> None:
        self.code = code
        self.message = SENTENCES[code]
        self.permanent = code in PERMANENT if permanent is None else permanent
        self.retry_after_s = retry_after_s
        if retry_after_s is not None and retry_after_s > MAX_RETRY_AFTER_S:
            self.permanent = True
        super().__init__(self.message)


class ContextTooLong(ProviderError):
    def __init__(self, limit_tokens: int | None = None) -> None:
        super().__init__("context_too_long")
        self.limit_tokens = limit_tokens


class UnknownModelError(Exception):
    code = "model_unknown"
    permanent = True
    message = "This model is not available. Choose another one."

    def __init__(self, model_id: str) -> None:
        super().__init__(self.message)
        self.model_id = model_id


def classify(
    status: int | None, body: object, headers: Mapping[str, str] | None = None
) -> ProviderError:
    """The error for an HTTP status and/or the `error` object of a body or of a chunk."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        error = {"message": str(error)}
    words = {str(error.get(key)) for key in ("code", "type")}
    text = str(error.get("message", ""))
    if status is None:
        status = _status_of(error)
    code = _code(status, words, text, error)
    if code == "context_too_long":
        return ContextTooLong(_limit(error, text))
    after = retry_after_s(headers or {})
    return ProviderError(code, retry_after_s=after)


def _code(status: int | None, words: set[str], text: str, error: dict[str, Any]) -> str:
    found = {_BY_WORD[word] for word in words if word in _BY_WORD}
    for special in ("context_too_long", "provider_credit", "refused"):
        if special in found:
            return special
    if status in (400, 413, 422, None) and _TOO_LONG.search(text):
        return "context_too_long"
    if status == 403 and isinstance(meta := error.get("metadata"), dict) and "reasons" in meta:
        return "refused"  # OpenRouter's moderation, not its keys
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status is not None and 300 <= status < 400:
        return "bad_stream"
    if status is not None and 400 <= status < 500:
        return "bad_request"
    return min(found) if found and status is None else "provider_down"


def _status_of(error: dict[str, Any]) -> int | None:
    code = error.get("code")
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 300 <= code < 600 else None


def _limit(error: dict[str, Any], text: str) -> int | None:
    if isinstance(limit := error.get("n_ctx"), int):  # llama.cpp
        return limit
    if found := _LIMIT.search(text):
        return int(found[1] or found[2])
    return None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date), else None."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(seconds, 0.0) if seconds == seconds else None  # NaN is no time
