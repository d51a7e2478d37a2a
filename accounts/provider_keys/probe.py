"""Probing a key: asks the provider whether it accepts the key, and which models it offers for it.

Blocks. Nothing from the provider's responses leaves this module, except the fields that `trimmed`
keeps, and only if they do not contain the key.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.debug import sensitive_variables

from accounts.models import ProviderKey
from accounts.provider_keys.address_filter import AddressRefusedError, UnreachableError
from accounts.provider_keys.http import Answer, fetch
from accounts.provider_keys.model_documents import inside, list_query, read_document, trimmed
from accounts.provider_keys.providers import CUSTOM, PROVIDERS

Status = ProviderKey.Status

__all__ = ["SAVED_WITH_WARNING", "Verdict", "check", "judge", "sentence", "trimmed"]

TIMEOUT_S = 10.0
ANTHROPIC_VERSION = "2023-06-01"
# A key with one of these is saved if the person confirms, since it may work later. Keys with
# another problem are never saved.
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
NO_LIST = gettext_noop(
    "The service gives no list of its models. Enter the names of those that you want to use."
)
UNKNOWN_NAME = gettext_noop("The service does not know the model “%(name)s”. Check the name.")
# Matches models that are likely cheap, one of which is asked for a token.
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
    """The result of a probe. `models` is None if the list could not be read. `names_missing` is a
    sentence for the form field with the models' names, for a service that lists none."""

    status: Status
    models: list[dict[str, Any]] | None = field(default=None, repr=False)
    names_missing: str = ""


def sentence(status: str, provider: str) -> str:
    """A sentence about the problem and its remedy; empty for a key that works."""
    name = gettext("the provider") if provider == CUSTOM else PROVIDERS[provider].label
    template = SENTENCES.get(Status(status))
    if template is None:
        return ""
    text = gettext(template).format(provider=name)
    return text[:1].upper() + text[1:]


@sensitive_variables()
def check(
    provider: str, url: str, key: str, *, ask_model: bool, named: Sequence[str] = ()
) -> Verdict:
    """Probe a key. Blocks.

    `url` is the API's address, used for custom providers only. With `ask_model` one token is
    requested as well, since most providers only then report that no credit is left. `named` are
    the models that the person entered, for a service that lists none.
    """
    probe = _Probe(provider, url, key, named)
    try:
        return probe.verdict(ask_model)
    except AddressRefusedError:
        return Verdict(Status.NOT_ALLOWED)
    except UnreachableError as error:
        wrong = error.kind in ("answer", "tls") and provider == CUSTOM
        return Verdict(Status.WRONG_URL if wrong else Status.UNREACHABLE)


class _Probe:
    def __init__(self, provider: str, url: str, key: str, named: Sequence[str]) -> None:
        self._provider, self._key, self._named = provider, key, named
        self._is_custom = provider == CUSTOM
        self._url = url if self._is_custom else PROVIDERS[provider].url

    @sensitive_variables()
    def verdict(self, ask_model: bool) -> Verdict:
        spent = False
        if self._provider == "openrouter":  # Its list of models needs no key.
            answer = self._get("/key")
            if (status := self._status(answer)) is not Status.OK:
                return Verdict(status)
            left = inside(_json(answer), "data", "limit_remaining")
            spent = isinstance(left, int | float) and left <= 0
        answer = self._get("/models", list_query(self._provider))
        status = self._status(answer)
        models = trimmed(_json(answer), self._key, self._provider) if status is Status.OK else None
        if self._is_custom and not models and status in (Status.OK, Status.WRONG_URL):
            return self._without_list(ask_model)
        if status is not Status.OK:
            return Verdict(status)
        if models is None:
            return Verdict(Status.UNREACHABLE)
        if spent or (ask_model and self._is_spent(models)):
            return Verdict(Status.OUT_OF_QUOTA, models)
        return Verdict(Status.OK, models)

    def _without_list(self, ask_model: bool) -> Verdict:
        """Probe a service that lists no models: call one, to see whether the API exists at all."""
        if self._named and not ask_model:
            return Verdict(Status.OK)
        answer = self._ask_for_token(self._named[0] if self._named else "none")
        status = judge(answer.status, answer.body)
        text = _lower_text(answer.body)
        is_from_api = isinstance(_json(answer), dict) and (
            answer.status not in (404, 405) or "model" in text
        )
        if status is Status.WRONG_URL and not is_from_api:
            return Verdict(status)
        if status not in (Status.OK, Status.WRONG_URL, Status.BUSY, Status.OUT_OF_QUOTA):
            return Verdict(status)
        if not self._named:
            return Verdict(Status.WRONG_URL, names_missing=gettext(NO_LIST))
        if status is Status.WRONG_URL and "model" in text:
            return Verdict(status, names_missing=gettext(UNKNOWN_NAME) % {"name": self._named[0]})
        return Verdict(Status.OK if status is Status.WRONG_URL else status, [])

    def _status(self, answer: Answer) -> Status:
        status = judge(answer.status, answer.body)
        if status is Status.WRONG_URL and not self._is_custom:
            return Status.UNREACHABLE
        return status

    def _get(self, path: str, query: str = "") -> Answer:
        headers = {"Accept": "application/json"}
        if self._provider == "anthropic":
            headers |= {"x-api-key": self._key, "anthropic-version": ANTHROPIC_VERSION}
            query = "limit=1000"
        else:
            headers["Authorization"] = f"Bearer {self._key}"
        return self._fetch(f"{path}?{query}", headers)

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
        """Whether a request for one token is refused because no credit is left."""
        names = [model["id"] for model in models if not _NOT_CHAT.search(model["id"])]
        if self._provider == "openrouter" or not names:
            return False
        name = next((name for name in names if _CHEAP.search(name)), names[0])
        try:
            answer = self._ask_for_token(name)
        except UnreachableError:
            return False
        return judge(answer.status, answer.body) is Status.OUT_OF_QUOTA

    def _ask_for_token(self, name: str) -> Answer:
        limit = "max_completion_tokens" if self._provider == "openai" else "max_tokens"
        asked = {"model": name, "messages": [{"role": "user", "content": "Hi"}], limit: 1}
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._key}",
        }
        return self._fetch("/chat/completions", headers, orjson.dumps(asked))


def judge(status: int, body: bytes) -> Status:
    """The status of a key, from the HTTP status and the text of a response."""
    if status == 200:
        return Status.OK
    text = _lower_text(body)
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(text)):
        return Status.OUT_OF_QUOTA
    if status in (400, 401, 403):
        if _BLOCKED.search(text):
            return Status.FORBIDDEN
        if _REVOKED.search(text):
            return Status.REVOKED
        if status == 401 or _WRONG_KEY.search(text) and status == 400:
            return Status.INVALID
        if status == 403:
            return Status.FORBIDDEN
    if status == 429:
        return Status.BUSY
    return Status.UNREACHABLE if status >= 500 or status == 408 else Status.WRONG_URL


def _lower_text(body: bytes) -> str:
    return body[:20_000].decode("utf-8", "replace").lower()


def _json(answer: Answer) -> Any:
    try:
        return read_document(answer.body)
    except ValueError:
        return None
