"""The models of people's own keys: who sees them, and how a worker calls one.

Web processes know them by the list stored with the key and never have the key itself: the
endpoints they make have none. A worker makes the endpoint for one call, from the row as it is then.
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
from chat.llm.listing import models_of
from chat.llm.user_model_lists import lists

logger = logging.getLogger(__name__)


# In web processes


async def models_for(person: User | None) -> tuple[list[Model], str | None]:
    """What this person may choose from, and the default: the site's models, then their own."""
    catalogue = get_catalogue()
    models = await catalogue.models()
    own = await sync_to_async(_listed)(person) if _may_have_keys(person) else []
    default = await catalogue.default_id()
    if default is None and own:
        default = own[0].id
    return models + own, default


async def find_for(person: User | None, model_id: str) -> Model:
    """A model that this person may send to. Raises UnknownModelError."""
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
    return person is not None and not person.is_guest


def _listed(person: User | None, of_key: str = "") -> list[Model]:
    """Those of all keys, or of the one whose models have this name before the slash."""
    assert person is not None
    found = []
    for row in provider_keys.keys_of(person, lists=False):
        if of_key and provider_keys.endpoint_name(row) != of_key:
            continue
        found += lists.of(row, _endpoint(row, api_key=""))
        if provider_keys.is_list_stale(row):
            provider_keys.want_check(row, ProviderKey.Check.LIST)
    return found


# In workers


async def find_for_call(owner_id: UUID, model_id: str, catalogue: Catalogue) -> Model:
    """The model with all that a call needs. Raises UnknownModelError or ProviderError.

    A model that is not listed any more is taken at its word: an answer that was begun must be able
    to go on, and the provider says if it cannot.
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
        # Neither of them says more than the kind.
        logger.error("the %s key of %s: %s", row.provider, owner_id, error)  # noqa: TRY400
        raise ProviderError("key_unreadable") from None
    for model in models_of(endpoint, row.model_list):
        if model.id == model_id:
            return model
    window = usual_window(provider_name, endpoint.base_url)
    most = longest_answer(provider_name)
    return Model(model_id, pretty_name(provider_name), endpoint, window, most)


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
