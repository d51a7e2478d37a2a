"""What a person's own pages and sockets say of them."""

from typing import Any

from accounts.models import User


def person_json(user: User) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "name": user.name,
        "email": user.email,
        "is_guest": user.is_guest,
    }
