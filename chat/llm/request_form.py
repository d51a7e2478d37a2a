"""The form of a request, which differs between providers and is learned from their refusals.

If a refusal is about the form, or gives no reason, the same call sends the request again in another
form, which costs nothing. The form that is accepted is remembered (`chat/llm/learned.py`).
"""

import re
from typing import Any, Literal

from django.conf import settings

from chat.llm import learned
from chat.llm.continuation import ask_messages, prefill_messages
from chat.llm.endpoints import OPENAI_URL, Model
from chat.llm.errors import MAX_TEXT_CHARS, classify
from chat.llm.learned import Key, Learned, endpoint_key, model_key
from chat.llm.prompt import Prompt
from chat.llm.prompt_roles import has_system, without_system

# The first one, and one for each change of form.
MAX_REQUESTS = 5
# llama.cpp responds with 500 if a model's template refuses the conversation.
_MAY_TEACH = (400, 422)
_TEMPLATE_MAY_FAIL = (*_MAY_TEACH, 500, 501)
# About the model. A single picture may be refused for its format, its size or what it shows.
_ABOUT_PICTURES = re.compile(
    r"(model|endpoint)s?\b.{0,60}(does|do|is|are|can)( ?not|n't) .{0,12}"
    r"(support|accept|process|read).{0,30}(images|image input|vision|multi-?modal)"
    r"|(image|vision|multi-?modal)\w* inputs? (is|are) not (supported|enabled)"
    r"|no endpoints found that support image|mmproj|image_url.{0,40}only supported"
    r"|content.{0,60}(must be|expected|should be).{0,12}(a |valid )?string|expected a string",
    re.DOTALL,
)
_ABOUT_SOUND = re.compile(
    r"(model|endpoint)s?\b.{0,60}(does|do|is|are|can)( ?not|n't) .{0,12}"
    r"(support|accept|process|hear).{0,30}(audio|sound|multi-?modal)"
    r"|(audio|multi-?modal)\w* inputs? (is|are) not (supported|enabled)"
    r"|no endpoints found that support .{0,20}audio|mmproj|input_audio.{0,40}only supported"
    r"|(invalid value|unknown variant|unexpected|unsupported).{0,12}input_audio"
    r"|content.{0,60}(must be|expected|should be).{0,12}(a |valid )?string|expected a string",
    re.DOTALL,
)
# The voice, the format and the modality are all refused with one of these words.
_ABOUT_SPEECH = re.compile(r"\baudio\b|\bvoices?\b|modalit|\bspeech\b|pcm16")
_ABOUT_SYSTEM = re.compile(
    r"\b(system|developer)\b.{0,80}(role|message|instruction|prompt|support|enabled|allow)"
    r"|role.{0,80}\b(system|developer)\b|roles? must alternate|alternate user/assistant"
    r"|only user,? and assistant|first (message|turn|content).{0,40}user",
    re.DOTALL,
)


def choose_continuation(model: Model, partial: str) -> Literal["prefill", "ask", "restart"]:
    """How an attempt continues this partial answer: "prefill", "ask" or "restart".

    "restart" if there is no text yet: the model thinks and answers anew, and the caller keeps the
    reasoning so far.
    """
    if not partial.strip():
        return "restart"
    return "ask" if model_key(model) in learned.refuses_prefill else model.continuation


class RequestForm:
    """The form of the requests of one call. `learn` changes it; `remember` stores it for later
    calls."""

    def __init__(self, model: Model, prompt: Prompt, partial: str) -> None:
        self.model, self.prompt, self.partial = model, prompt, partial
        key = model_key(model)
        self._endpoint_key = endpoint_key(model)
        self.mode = choose_continuation(model, partial)
        self._stream_options = self._endpoint_key not in learned.refuses_stream_options
        self._modalities = key not in learned.refuses_modalities
        self._speech = model.speaks and key not in learned.refuses_speech
        self._folds_system = key in learned.refuses_system
        # OpenAI has renamed max_tokens to max_completion_tokens, as has Azure.
        self._limit_renamed = model.endpoint.base_url == OPENAI_URL or key in learned.renamed_limit
        self._limit: str | None = None
        self._lessons: list[tuple[Learned[bool], Key]] = []

    @property
    def speaks(self) -> bool:
        """Whether the request asks for sound."""
        return self._speech

    def request(self, max_tokens: int | None, temperature: float | None) -> dict[str, Any]:
        """The JSON body of the next request."""
        messages = [dict(message) for message in self.prompt.messages]
        if self._folds_system:
            messages = without_system(messages)
        request: dict[str, Any] = {"model": self.model.provider_name, "stream": True}
        extra: dict[str, Any] = {}
        if self.mode == "prefill":
            messages = prefill_messages(messages, self.partial)
            extra |= self.model.prefill_extra
        elif self.mode == "ask":
            messages = ask_messages(messages, self.partial)
        if self._stream_options:
            request["stream_options"] = {"include_usage": True}
        if temperature is not None:
            request["temperature"] = temperature
        if max_tokens is not None:
            self._limit = "max_completion_tokens" if self._limit_renamed else "max_tokens"
            request[self._limit] = max_tokens
        if self._speech:
            extra["modalities"] = list(self.model.outputs)
            extra["audio"] = {"voice": settings.SPEAKING_VOICE, "format": "pcm16"}
        elif self._modalities and self.model.makes_pictures:
            extra["modalities"] = [kind for kind in self.model.outputs if kind != "audio"]
        if self.model.endpoint.provider == "openrouter":
            extra["usage"] = {"include": True}
        return request | {"messages": messages} | extra

    def refuses_pictures(self, status: int, body: object) -> bool:
        """Whether this refusal says that the model reads no pictures, and the prompt has some.

        A single picture may be refused for what it shows; that says nothing about the model.
        """
        return self._refuses("image_url", _ABOUT_PICTURES, status, body)

    def refuses_sound(self, status: int, body: object) -> bool:
        """Likewise for sound."""
        return self._refuses("input_audio", _ABOUT_SOUND, status, body)

    def _refuses(self, kind: str, about: re.Pattern[str], status: int, body: object) -> bool:
        if status not in (404, 415, *_TEMPLATE_MAY_FAIL):
            return False
        contents = [message["content"] for message in self.prompt.messages]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        if not any(part["type"] == kind for part in parts):
            return False
        return bool(about.search(str(body).lower()[:MAX_TEXT_CHARS]))

    def learn(self, status: int, body: object) -> bool:
        """Whether this refusal was about the form of the request. If so, the form is changed."""
        text, key = str(body).lower(), model_key(self.model)
        if self._learn_speech(key, status, text[:MAX_TEXT_CHARS]):
            return True
        if status not in _TEMPLATE_MAY_FAIL:
            return False
        if self._learn_system(key, named=bool(_ABOUT_SYSTEM.search(text[:MAX_TEXT_CHARS]))):
            return True
        if status not in _MAY_TEACH:
            return False
        if self._stream_options and ("stream_options" in text or "include_usage" in text):
            self._stream_options = False
            self._lessons.append((learned.refuses_stream_options, self._endpoint_key))
            return True
        if self._modalities and self.model.makes_pictures and "modalities" in text:
            self._modalities = False
            self._lessons.append((learned.refuses_modalities, key))
            return True
        if (
            self._limit == "max_tokens"
            and "max_completion_tokens" in text
            and not self._limit_renamed
        ):
            self._limit_renamed = True
            self._lessons.append((learned.renamed_limit, key))
            return True
        if classify(status, body).code != "bad_request":
            return False
        if self.mode == "prefill":
            self.mode = "ask"
            self._lessons.append((learned.refuses_prefill, key))
            return True
        return self._learn_system(key, named=True)

    def _learn_speech(self, key: Key, status: int, text: str) -> bool:
        # OpenRouter responds with 404 if no endpoint of the model has the modality.
        if not self._speech or status not in (404, *_MAY_TEACH) or not _ABOUT_SPEECH.search(text):
            return False
        self._speech = False
        self._lessons.append((learned.refuses_speech, key))
        return True

    def _learn_system(self, key: Key, *, named: bool) -> bool:
        if not named or self._folds_system or not has_system(self.prompt.messages):
            return False
        self._folds_system = True
        self._lessons.append((learned.refuses_system, key))
        return True

    def remember(self) -> None:
        """Stores the learned form. Call it when the provider has accepted the request."""
        for facts, key in self._lessons:
            facts.add(key, True)
        self._lessons.clear()
