"""The models that a person may choose from on the page of their settings."""

from accounts.models import User
from chat.llm.user_models import models_for


async def choices(person: User) -> list[tuple[str, str]]:
    """(id, name), the site's models in the catalogue's order, then those of their own keys."""
    models, _ = await models_for(person)
    return [(model.id, f"{model.name} · {model.endpoint.name}") for model in models]
