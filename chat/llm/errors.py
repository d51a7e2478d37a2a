"""Errors of model calls, with the sentences that people read.

ProviderError(code)     a call failed; `code` is a key of SENTENCES
├── ContextTooLong      code context_too_long; `limit_tokens` if the provider gave its limit
├── PicturesRefused     the model reads no pictures; the next attempt sends none
└── SoundRefused        the model hears no sound; the next attempt sends none
UnknownModelError       no endpoint offers this model id

A provider's own text never leaves `classify`, because it may quote the prompt, a key or an address.
"""

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

from billing.token_usage import TokenUsage

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
    "empty_answer": "The model gave an empty answer. Try again, or ask differently.",
    "thought_only": (
        "The model gave an empty answer: it thought, and wrote nothing. "
        "Try again, or ask differently."
    ),
    "length_before_text": (
        "The model reached its length limit before it wrote an answer. "
        "Try again, or ask for something shorter."
    ),
    "tool_only": (
        "The model gave an empty answer: it asked for a tool, which it does not have here. "
        "Try again, or choose another model."
    ),
    "no_text": (
        "The model answered with something other than text, such as a picture or sound, "
        "which cannot be shown here. Choose another model."
    ),
    "context_too_long": (
        "This is longer than the model can read at once. "
        "Shorten the last message, split it in parts, or choose a model with a larger context."
    ),
    "bad_request": "The provider did not accept the request for this model. Choose another model.",
    "refused": "The provider's content rules refused this message. Write it differently.",
    "site_key_refused": (
        "This site's access to the model does not work. Its operators have been told. "
        "Choose another model."
    ),
    "site_credit": (
        "This site's account at the model's provider has no credit left. "
        "Its operators have been told. Choose another model."
    ),
    "site_bad_stream": (
        "The provider sent something that is no answer. This site's operators have been told. "
        "Try again, or choose another model."
    ),
}
# The errors of calls with the operator's key, about which the person can do nothing.
SITE_CODES = {
    "provider_auth": "site_key_refused",
    "provider_credit": "site_credit",
    "bad_stream": "site_bad_stream",
}
PERMANENT = frozenset(
    ("provider_auth", "provider_credit", "model_not_found", "context_too_long")
    + ("bad_request", "refused", "key_missing", "key_unreadable", "address_refused")
)
# If a provider asks for a longer wait than this, there is no automatic retry: the person decides.
MAX_RETRY_AFTER_S = 60.0
MAX_TEXT_CHARS = 8_000  # Only the first part of an error's text is searched.
MAX_DATE_CHARS = 64

# Field names are compared in lower case.
_STATUS_FIELDS = ("code", "status", "status_code", "statuscode", "error_code", "errorcode")
_TEXT_FIELDS = ("message", "msg", "error_msg", "error_message", "errormessage", "errormsg") + (
    ("err_msg", "errmsg", "title", "reason")
)
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
_CODES_BY_WORD = {
    "provider_auth": ("invalid_api_key", "authentication_error", "authenticationerror")
    + ("permission_error", "permissiondeniederror", "permission_denied", "unauthenticated")
    + ("unauthorized", "forbidden", "invalid_token", "account_deactivated"),
    "provider_credit": ("insufficient_quota", "billing_error", "insufficient_balance")
    + ("insufficient_credits", "payment_required", "quota_exceeded", "insufficient_user_quota"),
    "model_not_found": ("model_not_found", "not_found_error", "notfounderror", "not_found"),
    "rate_limited": ("rate_limit_exceeded", "rate_limit_error", "ratelimiterror", "rate_limited")
    + ("too_many_requests", "resource_exhausted", "throttlingexception"),
    "provider_down": ("server_error", "overloaded_error", "internalservererror", "internal_error")
    + ("api_error", "unavailable", "unavailable_error", "service_unavailable", "internal"),
    "provider_timeout": ("timeout", "timeout_error", "deadline_exceeded", "gateway_timeout"),
    "context_too_long": ("context_length_exceeded", "exceed_context_size_error"),
    "refused": ("content_filter", "content_policy_violation", "moderation_error"),
    "bad_request": ("invalid_request_error", "badrequesterror", "invalid_argument")
    + ("validation_error",),
}
_BY_WORD = {word: code for code, words in _CODES_BY_WORD.items() for word in words}
_TOO_LONG = re.compile(
    r"maximum context length|context (length|window|size)|prompt is too long|input is too long"
    r"|too many (input )?tokens|exceeds the (model'?s )?max",
    re.IGNORECASE,
)
# For errors in a response with status 200 that have neither a status nor a known code.
_BY_TEXT = [
    (code, re.compile(pattern, re.IGNORECASE))
    for code, pattern in (
        (
            "provider_credit",
            r"insufficient (balance|quota|credit|funds)|exceeded your .{0,80}quota",
        ),
        ("rate_limited", r"rate.?limit|too many requests"),
        (
            "provider_auth",
            r"(invalid|incorrect|expired|missing) (api.?key|token|credential)"
            r"|(api.?key|token) (is |has )?(invalid|expired)|unauthori[sz]ed|not authenticated",
        ),
        ("model_not_found", r"model\b.{0,80}\b(not found|does not exist|is not available)"),
        ("provider_timeout", r"tim(ed|e) ?out"),
    )
]
_LIMIT = re.compile(r"maximum context length is (\d{3,8})|(\d{3,8}) maximum", re.IGNORECASE)


class ProviderError(Exception):
    """A model call failed.

    `permanent`: an automatic retry cannot help. `retry_after_s`: the wait that the provider asked
    for. `max_fruitless`: how many attempts in a row may end like this without any output. `usage`:
    the usage that the provider reported before. `ended`: the body ended normally, but nothing
    confirmed that the answer is complete.
    """

    def __init__(
        self,
        code: str,
        *,
        permanent: bool | None = None,
        retry_after_s: float | None = None,
        max_fruitless: int | None = None,
        ended: bool = False,
    ) -> None:
        self.max_fruitless = max_fruitless
        self.ended = ended
        self.usage: TokenUsage | None = None
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


class PicturesRefused(ProviderError):
    def __init__(self) -> None:
        super().__init__("bad_request", permanent=False)


class SoundRefused(ProviderError):
    def __init__(self) -> None:
        super().__init__("bad_request", permanent=False)


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
    """The error for an HTTP status, for the body of a response or a chunk, or for both."""
    # A retry would be redirected again.
    is_redirect = status is not None and 300 <= status < 400
    error = _innermost(body)
    words = {str(error.get(key)).lower() for key in ("code", "type", "status", "__type")}
    text = _text_of(error)
    if status is None:
        status = _status_of(error)
    code = _code(status, words, text, error)
    if code == "context_too_long":
        return ContextTooLong(_limit(error, text))
    after = retry_after_s(headers or {})
    return ProviderError(code, permanent=is_redirect or None, retry_after_s=after)


def _innermost(body: object) -> dict[str, Any]:
    """The innermost error object, with field names in lower case.

    If the innermost error is a text, its object's other fields are kept beside it.
    """
    error = lower_names(body) if isinstance(body, dict) else {"message": body} if body else {}
    for _ in range(4):
        inner = next((error[key] for key in ("error", "errors", "detail") if error.get(key)), None)
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if isinstance(inner, dict):
            error = lower_names(inner)
        elif inner is not None:
            return error | {"message": str(inner), "error": None}
        else:
            break
    return error


def lower_names(fields: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in fields.items()}


def _text_of(error: dict[str, Any]) -> str:
    texts = (str(error[key])[:MAX_TEXT_CHARS] for key in _TEXT_FIELDS if error.get(key))
    return next(texts, "")


def _code(status: int | None, words: set[str], text: str, error: dict[str, Any]) -> str:
    codes = {_BY_WORD[word] for word in words if word in _BY_WORD}
    overriding: tuple[str, ...] = ("context_too_long", "provider_credit", "refused")
    if status is None:  # "Too many tokens, please wait" does not mean that the prompt is too long.
        overriding = (*overriding, "rate_limited")
    if matching := [code for code in overriding if code in codes]:
        return matching[0]
    if status in (400, 413, 422, None) and _TOO_LONG.search(text):
        return "context_too_long"
    if status == 403 and isinstance(meta := error.get("metadata"), dict) and "reasons" in meta:
        return "refused"  # OpenRouter's moderation; otherwise a 403 is about the key.
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status is not None and 300 <= status < 400:
        return "bad_stream"
    if status is not None and 400 <= status < 500:
        return "bad_request"
    if status is not None:
        return "provider_down"
    if codes - {"bad_request"}:
        return min(codes - {"bad_request"})
    by_text = (code for code, pattern in _BY_TEXT if pattern.search(text))
    return next(by_text, min(codes, default="provider_down"))


def _status_of(error: dict[str, Any]) -> int | None:
    for key in _STATUS_FIELDS:
        code = error.get(key)
        if isinstance(code, str) and code.isascii() and code.isdecimal():
            code = int(code[:9])
        if isinstance(code, int) and 300 <= code < 600:
            return code
    return None


def _limit(error: dict[str, Any], text: str) -> int | None:
    if isinstance(limit := error.get("n_ctx"), int):  # llama.cpp
        return limit
    if match := _LIMIT.search(text):
        return int(match[1] or match[2])
    return None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait according to Retry-After (seconds or an HTTP date); None without one."""
    value = headers.get("retry-after", "").strip()
    if not value or len(value) > MAX_DATE_CHARS:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError, OSError):
            return None
    return max(seconds, 0.0) if seconds == seconds else None  # float() accepts "nan".
