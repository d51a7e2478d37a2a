"""The models that a person may choose from on the page of their settings."""

from accounts.models import User
from chat.catalogue import get_catalogue


async def choices(person: User) -> list[tuple[str, str]]:
    """(id, name), in the catalogue's order."""
    models = await get_catalogue().models()
    return [(model.id, f"{model.name} · {model.endpoint.name}") for model in models]
