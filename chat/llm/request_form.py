"""The form of a request, which providers do not agree on: learned from what each one refuses.

A refusal that names the form, or that gives no reason at all, is answered by asking again in
another form, within the same call: it cost nothing. What then worked is remembered
(`chat/llm/learned.py`).
"""

import re
from typing import Any, Literal

from chat.llm import learned
from chat.llm.continuation import ask_turns, prefill_turns
from chat.llm.endpoints import OPENAI_URL, Model
from chat.llm.errors import MAX_TEXT_CHARS, classify
from chat.llm.learned import Key, Learned, endpoint_key_of, key_of
from chat.llm.prompt import Prompt
from chat.llm.prompt_roles import has_system, without_system

# One for each thing that a refusal may teach, and the first.
MAX_REQUESTS = 5
# llama.cpp answers 500 when a model's template refuses the conversation.
_MAY_TEACH = (400, 422)
_TEMPLATE_MAY_FAIL = (*_MAY_TEACH, 500, 501)
_ABOUT_SYSTEM = re.compile(
    r"\b(system|developer)\b.{0,80}(role|message|instruction|prompt|support|enabled|allow)"
    r"|role.{0,80}\b(system|developer)\b|roles? must alternate|alternate user/assistant"
    r"|only user,? and assistant|first (message|turn|content).{0,40}user",
    re.DOTALL,
)


def means_for(model: Model, partial: str) -> Literal["prefill", "ask", "restart"]:
    """How an attempt with this partial answer goes on: "prefill", "ask" or "restart".

    "restart" when no text is there yet; reasoning that is there is kept by the caller, and the
    model thinks and answers anew.
    """
    if not partial.strip():
        return "restart"
    return "ask" if key_of(model) in learned.refuses_prefill else model.continuation


class RequestForm:
    """The form of one call's requests; `learn` changes it, `remember` keeps it for later calls."""

    def __init__(self, model: Model, prompt: Prompt, partial: str) -> None:
        self.model, self.prompt, self.partial = model, prompt, partial
        key = key_of(model)
        self._endpoint_key = endpoint_key_of(model)
        self.means = means_for(model, partial)
        self._stream_options = self._endpoint_key not in learned.refuses_stream_options
        self._folds_system = key in learned.refuses_system
        # OpenAI has renamed it, as has Azure.
        self._renamed = model.endpoint.base_url == OPENAI_URL or key in learned.renamed_limit
        self._limit: str | None = None
        self._lessons: list[tuple[Learned[bool], Key]] = []

    def request(self, max_tokens: int | None, temperature: float | None) -> dict[str, Any]:
        turns = [dict(turn) for turn in self.prompt.messages]
        if self._folds_system:
            turns = without_system(turns)
        request: dict[str, Any] = {"model": self.model.provider_name, "stream": True}
        extra: dict[str, Any] = {}
        if self.means == "prefill":
            turns = prefill_turns(turns, self.partial)
            extra |= self.model.prefill_extra
        elif self.means == "ask":
            turns = ask_turns(turns, self.partial)
        if self._stream_options:
            request["stream_options"] = {"include_usage": True}
        if temperature is not None:
            request["temperature"] = temperature
        if max_tokens is not None:
            self._limit = "max_completion_tokens" if self._renamed else "max_tokens"
            request[self._limit] = max_tokens
        if self.model.endpoint.provider == "openrouter":
            extra["usage"] = {"include": True}
        return request | {"messages": turns, "extra_body": extra or None}

    def learn(self, status: int, body: object) -> bool:
        """Whether this refusal was about the form of the request, which is another one now."""
        if status not in _TEMPLATE_MAY_FAIL:
            return False
        text, key = str(body).lower(), key_of(self.model)
        if self._learn_system(key, named=bool(_ABOUT_SYSTEM.search(text[:MAX_TEXT_CHARS]))):
            return True
        if status not in _MAY_TEACH:
            return False
        if self._stream_options and ("stream_options" in text or "include_usage" in text):
            self._stream_options = False
            self._lessons.append((learned.refuses_stream_options, self._endpoint_key))
            return True
        if self._limit == "max_tokens" and "max_completion_tokens" in text and not self._renamed:
            self._renamed = True
            self._lessons.append((learned.renamed_limit, key))
            return True
        if classify(status, body).code != "bad_request":
            return False
        if self.means == "prefill":
            self.means = "ask"
            self._lessons.append((learned.refuses_prefill, key))
            return True
        return self._learn_system(key, named=True)

    def _learn_system(self, key: Key, *, named: bool) -> bool:
        if not named or self._folds_system or not has_system(self.prompt.messages):
            return False
        self._folds_system = True
        self._lessons.append((learned.refuses_system, key))
        return True

    def remember(self) -> None:
        """The provider has taken the request in this form."""
        for known, key in self._lessons:
            known.add(key, True)
        self._lessons.clear()
