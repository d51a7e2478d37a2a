"""The models that a setting names for everybody: with the operator's key, or with the person's own
key of the same provider. Sync."""

from collections.abc import Iterator

from accounts.models import ProviderKey, User
from accounts.provider_keys import store as provider_keys
from chat.llm.endpoints import Endpoint, Model, configured_endpoints
from chat.llm.families import pretty_name, usual_window


def models_named(setting: str, person: User | None) -> Iterator[Model]:
    """The models that "endpoint/name" means for a person: the operator's first. The endpoint of a
    person's own has no key: a worker makes it with the key (chat/llm/user_models.py)."""
    endpoint_name, _, name = setting.partition("/")
    if not name:
        return
    for endpoint in configured_endpoints():
        if endpoint.name == endpoint_name:
            yield _model(endpoint, name)
    for endpoint in _of_person(person, endpoint_name):
        yield _model(endpoint, name)


def _model(endpoint: Endpoint, name: str) -> Model:
    window = usual_window(name, endpoint.base_url)
    return Model(f"{endpoint.name}/{name}", pretty_name(name), endpoint, window)


def _of_person(person: User | None, name: str) -> Iterator[Endpoint]:
    if person is None or person.is_guest or not getattr(person, "has_keys", True):
        return
    for row in ProviderKey.objects.filter(owner=person, provider=name).order_by("created_at"):
        yield Endpoint(
            name=provider_keys.endpoint_name(row),
            base_url=provider_keys.url_of(row),
            api_key="",
            owner=row.owner_id.hex,
            own_provider=row.provider,
            guarded=False,
        )
