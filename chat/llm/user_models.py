"""The models of people's own keys: listing them for their owner, and calling one in a worker.

Web processes read the list stored with the key and never decrypt the key: their endpoints have
none. A worker makes the endpoint for each call from the current row.
"""

import logging
from uuid import UUID

from asgiref.sync import sync_to_async

from accounts.models import ProviderKey, User
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.encryption import KeyEncryptionError
from accounts.provider_keys.providers import CUSTOM
from chat.llm.catalogue import Catalogue, UnknownModelError, get_catalogue
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ProviderError
from chat.llm.families import longest_answer, pretty_name, usual_window
from chat.llm.listing import models_from_entries
from chat.llm.user_model_lists import lists

logger = logging.getLogger(__name__)


# In web processes


async def models_for(person: User | None) -> tuple[list[Model], str | None]:
    """The models this person can choose from (the catalogue's, then their own keys'), and the id of
    the default; None if there are no models."""
    catalogue = get_catalogue()
    models = await catalogue.models()
    own = await sync_to_async(_listed)(person) if _may_have_keys(person) else []
    default = await catalogue.default_id()
    if default is None and own:
        default = own[0].id
    return models + own, default


async def find_for(person: User | None, model_id: str) -> Model:
    """The model with this id, if the person may use it. Raises UnknownModelError."""
    if not is_own(model_id):
        return await get_catalogue().find(model_id)
    of_key = model_id.partition("/")[0]
    own = await sync_to_async(_listed)(person, of_key) if _may_have_keys(person) else []
    for model in own:
        if model.id == model_id:
            return model
    raise UnknownModelError(model_id)


def is_own(model_id: str) -> bool:
    return model_id.startswith(provider_keys.PREFIX)


def _may_have_keys(person: User | None) -> bool:
    # locale.page_people has asked for pages.
    return person is not None and not person.is_guest and getattr(person, "has_keys", True)


def _listed(person: User | None, of_key: str = "") -> list[Model]:
    """The models of all keys of a person, or of the key with this endpoint name."""
    assert person is not None
    models = []
    for row in provider_keys.keys_of(person, lists=False):
        if of_key and provider_keys.endpoint_name(row) != of_key:
            continue
        models += lists.get(row, _endpoint(row, api_key=""))
        if provider_keys.is_list_stale(row):
            provider_keys.want_check(row, ProviderKey.Check.LIST)
    return models


# In workers


async def find_for_call(owner_id: UUID, model_id: str, catalogue: Catalogue) -> Model:
    """The model, with the decrypted key. Raises UnknownModelError or ProviderError.

    A model of a person's key that is not listed any more is assumed to exist, so that a reply that
    has started can continue; otherwise the provider refuses the call.
    """
    if not is_own(model_id):
        return await catalogue.find(model_id)
    return await sync_to_async(_own_model)(owner_id, model_id)


def _own_model(owner_id: UUID, model_id: str) -> Model:
    name, _, provider_name = model_id.partition("/")
    rows = ProviderKey.objects.filter(owner_id=owner_id)
    row = next((row for row in rows if provider_keys.endpoint_name(row) == name), None)
    if row is None or not provider_name:
        raise ProviderError("key_missing")
    try:
        endpoint = _endpoint(row, api_key=provider_keys.reveal(row))
    except KeyEncryptionError as error:
        # The log line has the kind of the error only, no part of the key.
        logger.error("the %s key of %s: %s", row.provider, owner_id, error)  # noqa: TRY400
        raise ProviderError("key_unreadable") from None
    for model in models_from_entries(endpoint, row.model_list):
        if model.id == model_id:
            return model
    window = usual_window(provider_name, endpoint.base_url)
    max_output = longest_answer(provider_name)
    return Model(model_id, pretty_name(provider_name), endpoint, window, max_output)


def _endpoint(row: ProviderKey, *, api_key: str) -> Endpoint:
    return Endpoint(
        name=provider_keys.endpoint_name(row),
        base_url=provider_keys.url_of(row),
        api_key=api_key,
        owner=row.owner_id.hex,
        own_provider=row.provider,
        label=provider_keys.display_name(row),
        guarded=row.provider == CUSTOM,
    )
