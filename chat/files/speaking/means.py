"""Which model and voice read answers aloud: those of the settings, else the voice on this machine.
Sync."""

from dataclasses import dataclass

from django.conf import settings

from accounts.models import User
from chat.charging import pricing
from chat.files.local_speech import packages
from chat.files.named_models import models_named
from chat.files.speaking import prices
from chat.llm.endpoints import Model


@dataclass(frozen=True, slots=True)
class Voice:
    """`name`: the provider's name of the voice."""

    model: Model
    name: str

    @property
    def is_local(self) -> bool:
        """Whether a process on this machine speaks (chat/files/local_speech/)."""
        return self.model.id == packages.VOICE.id


def voice_for(person: User | None) -> Voice | None:
    """What reads aloud to this person; None for nothing. Its endpoint has no key if it is one of
    the person's own."""
    for model in models_named(settings.SPEECH, person) if settings.SPEECH_VOICE else ():
        if pricing.free_reason(model) or prices.price_of(model) is not None:
            return Voice(model, settings.SPEECH_VOICE)
    return Voice(packages.VOICE, packages.VOICE_NAME) if packages.is_on() else None
