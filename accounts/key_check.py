"""Asking a provider what it thinks of a key, and which models it has for it.

Blocks; not a word of the provider leaves this module but the fields in MODEL_FIELDS, and those
only where they do not hold the key.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.debug import sensitive_variables

from accounts.key_providers import CUSTOM, PROVIDERS
from accounts.models import ProviderKey
from accounts.outbound import Answer, fetch
from accounts.public_addresses import AddressRefusedError, UnreachableError

Status = ProviderKey.Status

TIMEOUT_S = 10.0
ANTHROPIC_VERSION = "2023-06-01"
MAX_MODELS = 600
MAX_FIELD_CHARS = 150
# Saved with a warning when the person says so: it may be better tomorrow. The others never.
SAVED_WITH_WARNING = frozenset({Status.OUT_OF_QUOTA, Status.BUSY, Status.UNREACHABLE})

SENTENCES = {
    Status.INVALID: gettext_noop(
        "{provider} does not know this key. Copy it again, or make a new one there."
    ),
    Status.REVOKED: gettext_noop(
        "{provider} says this key was revoked or has expired. Make a new one there."
    ),
    Status.FORBIDDEN: (
        gettext_noop(
            "{provider} knows this key but refuses it: the account behind it is blocked, or the "
            "key may not do this. Look at your account there."
        )
    ),
    Status.OUT_OF_QUOTA: gettext_noop(
        "The key is good, but the account at {provider} has no credit left."
    ),
    Status.BUSY: gettext_noop(
        "{provider} limits how often it answers this key, and did not say if it is good."
    ),
    Status.UNREACHABLE: gettext_noop(
        "{provider} cannot be reached now, so nobody knows if the key is good."
    ),
    Status.WRONG_URL: (
        gettext_noop(
            "There is no OpenAI-compatible service at this address. It mostly ends in /v1."
        )
    ),
    Status.NOT_ALLOWED: gettext_noop(
        "Keys cannot be sent to this address: it is not on the public internet."
    ),
    Status.UNREADABLE: gettext_noop("This key cannot be read any more. Enter it again."),
}
# Which of a provider's models is asked for a token, when all are listed: the cheapest known ones.
_CHEAP = re.compile(r"nano|mini|lite|flash|haiku|fast|small", re.IGNORECASE)
_NOT_CHAT = re.compile(
    r"embed|whisper|tts|dall|image|audio|moderation|realtime|transcri|search|codex|instruct|sora"
    r"|imagen|veo|live|aqa|video|deep-research|computer|robotics",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient[_ ](quota|credits?|balance|funds)|exceeded your current quota"
    r"|credit balance is too low|billing_hard_limit|billing_not_active|out of credits|no credits"
    r"|(spending|monthly|usage) limit"
)
_BLOCKED = re.compile(
    r"account[^.]{0,60}(deactivated|suspended|disabled|banned|terminated|blocked)|account_deactivated"
    r"|organization[^.]{0,40}(disabled|suspended|deactivated|terminated)|consumer_suspended|banned"
)
_REVOKED = re.compile(
    r"revoked|expired|key[^.]{0,40}(disabled|deactivated|deleted|blocked|leaked)|leaked"
)
_WRONG_KEY = re.compile(r"api[ _]key|api_key|x-api-key|authentication")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`models`: None when the list could not be read."""

    status: Status
    models: list[dict[str, Any]] | None = field(default=None, repr=False)


def sentence(status: str, provider: str) -> str:
    """What is wrong and what to do; empty when nothing is."""
    named = gettext("the provider") if provider == CUSTOM else PROVIDERS[provider].label
    said = SENTENCES.get(Status(status))
    if said is None:
        return ""
    said = gettext(said).format(provider=named)
    return said[:1].upper() + said[1:]


@sensitive_variables()
def check(provider: str, url: str, key: str, *, ask_model: bool) -> Verdict:
    """`url`: the API's, which counts for a custom provider. `ask_model`: also ask for one token,
    since most providers say only then that there is no credit left.
    """
    caller = _Caller(provider, url, key)
    try:
        return caller.verdict(ask_model)
    except AddressRefusedError:
        return Verdict(Status.NOT_ALLOWED)
    except UnreachableError as error:
        wrong = error.kind in ("answer", "tls") and provider == CUSTOM
        return Verdict(Status.WRONG_URL if wrong else Status.UNREACHABLE)


class _Caller:
    def __init__(self, provider: str, url: str, key: str) -> None:
        self._provider, self._key = provider, key
        self._is_custom = provider == CUSTOM
        self._url = url if self._is_custom else PROVIDERS[provider].url

    @sensitive_variables()
    def verdict(self, ask_model: bool) -> Verdict:
        spent = False
        if self._provider == "openrouter":  # Its list of models is for everybody.
            answer = self._get("/key")
            if (status := self._status(answer)) is not Status.OK:
                return Verdict(status)
            left = _inside(_json(answer), "data", "limit_remaining")
            spent = isinstance(left, int | float) and left <= 0
        answer = self._get("/models")
        if (status := self._status(answer)) is not Status.OK:
            return Verdict(status)
        models = trimmed(_json(answer), self._key, self._provider)
        if models is None:
            return Verdict(Status.WRONG_URL if self._is_custom else Status.UNREACHABLE)
        if spent or (ask_model and self._is_spent(models)):
            return Verdict(Status.OUT_OF_QUOTA, models)
        return Verdict(Status.OK, models)

    def _status(self, answer: Answer) -> Status:
        status = judge(answer.status, answer.body)
        if status is Status.WRONG_URL and not self._is_custom:
            return Status.UNREACHABLE
        return status

    def _get(self, path: str) -> Answer:
        headers = {"Accept": "application/json"}
        if self._provider == "anthropic":
            headers |= {"x-api-key": self._key, "anthropic-version": ANTHROPIC_VERSION}
            path += "?limit=1000"
        else:
            headers["Authorization"] = f"Bearer {self._key}"
        return self._fetch(path, headers)

    def _fetch(self, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        base, _, query = path.partition("?")
        return fetch(
            self._url + base,
            query=query,
            headers=headers,
            body=body,
            timeout_s=TIMEOUT_S,
            guarded=self._is_custom,
        )

    def _is_spent(self, models: list[dict[str, Any]]) -> bool:
        """Whether one token is refused for want of credit; any other refusal says nothing."""
        names = [model["id"] for model in models if not _NOT_CHAT.search(model["id"])]
        if self._provider == "openrouter" or not names:
            return False
        name = next((name for name in names if _CHEAP.search(name)), names[0])
        limit = "max_completion_tokens" if self._provider == "openai" else "max_tokens"
        asked = {"model": name, "messages": [{"role": "user", "content": "Hi"}], limit: 1}
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._key}",
        }
        try:
            answer = self._fetch("/chat/completions", headers, orjson.dumps(asked))
        except UnreachableError:
            return False
        return judge(answer.status, answer.body) is Status.OUT_OF_QUOTA


def judge(status: int, body: bytes) -> Status:
    """What an answer's HTTP status and words say of the key."""
    if status == 200:
        return Status.OK
    said = body[:20_000].decode("utf-8", "replace").lower()
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(said)):
        return Status.OUT_OF_QUOTA
    if status in (400, 401, 403):
        if _BLOCKED.search(said):
            return Status.FORBIDDEN
        if _REVOKED.search(said):
            return Status.REVOKED
        if status == 401 or _WRONG_KEY.search(said) and status == 400:
            return Status.INVALID
        if status == 403:
            return Status.FORBIDDEN
    if status == 429:
        return Status.BUSY
    return Status.UNREACHABLE if status >= 500 or status == 408 else Status.WRONG_URL


def trimmed(document: Any, key: str, provider: str) -> list[dict[str, Any]] | None:
    """The entries of a list of models with the fields we know; None when it is no such list.

    An entry that holds the key is left out: the list is stored and shown.
    """
    entries = document.get("data") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        return None
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            continue
        kept = _kept(entry, provider)
        if kept["id"] and key not in orjson.dumps(kept).decode():
            found.append(kept)
    if provider == "openai":
        found.sort(key=lambda kept: -int(kept.get("created", 0)))
    return found[:MAX_MODELS]


def _kept(entry: dict[str, Any], provider: str) -> dict[str, Any]:
    name = entry["id"].removeprefix("models/") if provider == "google" else entry["id"]
    kept: dict[str, Any] = {"id": name if _is_plain(name) else ""}
    shown = entry.get("name") or entry.get("display_name")
    if _is_plain(shown):
        kept["name"] = shown
    if entry.get("owned_by") in ("llamacpp", "vllm"):
        kept["owned_by"] = entry["owned_by"]
    numbers = ("created", "max_model_len", "context_length", "context_window", "max_context_length")
    kept |= {name: entry[name] for name in numbers if _is_number(entry.get(name))}
    for group, names in (
        ("top_provider", ("context_length", "max_completion_tokens")),
        ("meta", ("n_ctx",)),
    ):
        inner = {name: _inside(entry, group, name) for name in names}
        if inner := {name: value for name, value in inner.items() if _is_number(value)}:
            kept[group] = inner
    outputs = _inside(entry, "architecture", "output_modalities")
    if isinstance(outputs, list) and "text" not in outputs:
        kept["architecture"] = {"output_modalities": []}
    return kept


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_FIELD_CHARS


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def _inside(entry: Any, group: str, name: str) -> object:
    inner = entry.get(group) if isinstance(entry, dict) else None
    return inner.get(name) if isinstance(inner, dict) else None


def _json(answer: Answer) -> Any:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
