"""Which model and voice read answers aloud. Sync."""

from dataclasses import dataclass

from django.conf import settings

from accounts.models import User
from chat.charging import pricing
from chat.files.named_models import models_named
from chat.files.speaking import prices
from chat.llm.endpoints import Model


@dataclass(frozen=True, slots=True)
class Voice:
    """`name`: the provider's name of the voice."""

    model: Model
    name: str


def voice_for(person: User | None) -> Voice | None:
    """What reads aloud to this person; None for nothing. Its endpoint has no key if it is one of
    the person's own."""
    if not settings.SPEECH_VOICE:
        return None
    for model in models_named(settings.SPEECH, person):
        if pricing.free_reason(model) or prices.price_of(model) is not None:
            return Voice(model, settings.SPEECH_VOICE)
    return None
