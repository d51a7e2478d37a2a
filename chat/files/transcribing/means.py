"""Which model writes speech down: the one of the settings, with the operator's key, or with the
person's own key of the same provider. Sync."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from accounts.models import ProviderKey, User
from accounts.provider_keys import store as provider_keys
from chat.charging import pricing
from chat.files.transcribing import prices
from chat.llm.endpoints import Endpoint, Model, configured_endpoints
from chat.llm.families import pretty_name, usual_window

Form = Literal["multipart", "json", "chat"]
FORMS: dict[str, Form] = {"multipart": "multipart", "json": "json", "chat": "chat"}


@dataclass(frozen=True, slots=True)
class Means:
    """`form`: the request. "multipart" is OpenAI's, "json" OpenRouter's; "chat" asks a chat model
    that hears."""

    model: Model
    form: Form


def means_for(person: User | None) -> Means | None:
    """What writes down the speech of this person; None for nothing. Its endpoint has no key if it
    is one of the person's own: a worker makes it with the key (chat/llm/user_models.py)."""
    name, _, provider_name = settings.TRANSCRIPTION.partition("/")
    if not provider_name:
        return None
    for endpoint in [*_of_operator(name), *_of_person(person, name)]:
        model = _model(endpoint, provider_name)
        if pricing.free_reason(model) or prices.price_of(model) is not None:
            return Means(model, _form(endpoint))
    return None


def record_price() -> None:
    """Store the price of the operator's model, if a table has it: a chore of the worker."""
    name, _, provider_name = settings.TRANSCRIPTION.partition("/")
    for endpoint in _of_operator(name) if provider_name else ():
        prices.record_price(_model(endpoint, provider_name))


def _model(endpoint: Endpoint, name: str) -> Model:
    window = usual_window(name, endpoint.base_url)
    return Model(f"{endpoint.name}/{name}", pretty_name(name), endpoint, window)


def _of_operator(name: str) -> Sequence[Endpoint]:
    return [endpoint for endpoint in configured_endpoints() if endpoint.name == name]


def _of_person(person: User | None, name: str) -> Sequence[Endpoint]:
    if person is None or person.is_guest or not getattr(person, "has_keys", True):
        return []
    rows = ProviderKey.objects.filter(owner=person, provider=name).order_by("created_at")
    return [
        Endpoint(
            name=provider_keys.endpoint_name(row),
            base_url=provider_keys.url_of(row),
            api_key="",
            owner=row.owner_id.hex,
            own_provider=row.provider,
            guarded=False,
        )
        for row in rows
    ]


def _form(endpoint: Endpoint) -> Form:
    usual: Form = "json" if endpoint.provider == "openrouter" else "multipart"
    return FORMS.get(settings.TRANSCRIPTION_FORM, usual)
