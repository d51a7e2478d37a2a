"""The models that a person can choose from on their settings page."""

from accounts.models import User
from chat.llm.user_models import models_for


async def choices(person: User) -> list[tuple[str, str]]:
    """(id, name) of the catalogue's models, then of the models of their own keys."""
    models, _ = await models_for(person)
    return [(model.id, f"{model.name} · {model.endpoint.name}") for model in models]
