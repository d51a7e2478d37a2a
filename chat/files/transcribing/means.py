"""Which model writes speech down: the one of the settings, with the operator's key, or with the
person's own key of the same provider, else the recogniser on this machine. Sync."""

from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from accounts.models import User
from chat.charging import pricing
from chat.files.local_speech import packages
from chat.files.named_models import models_named
from chat.files.transcribing import prices
from chat.llm.endpoints import Endpoint, Model

Form = Literal["multipart", "json", "chat", "local"]
FORMS: dict[str, Form] = {"multipart": "multipart", "json": "json", "chat": "chat"}


@dataclass(frozen=True, slots=True)
class Means:
    """`form`: the request. "multipart" is OpenAI's, "json" OpenRouter's; "chat" asks a chat model
    that hears; "local" is a process on this machine (chat/files/local_speech/)."""

    model: Model
    form: Form


def means_for(person: User | None) -> Means | None:
    """What writes down the speech of this person; None for nothing. Its endpoint has no key if it
    is one of the person's own: a worker makes it with the key (chat/llm/user_models.py)."""
    for model in models_named(settings.TRANSCRIPTION, person):
        if pricing.free_reason(model) or prices.price_of(model) is not None:
            return Means(model, _form(model.endpoint))
    return Means(packages.RECOGNISER, "local") if packages.is_on() else None


def record_price() -> None:
    """Store the price of the operator's model, if a table has it: a chore of the worker."""
    for model in models_named(settings.TRANSCRIPTION, None):
        prices.record_price(model)


def _form(endpoint: Endpoint) -> Form:
    usual: Form = "json" if endpoint.provider == "openrouter" else "multipart"
    return FORMS.get(settings.TRANSCRIPTION_FORM, usual)
