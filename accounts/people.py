"""What a person's own pages and sockets say of them."""

from typing import Any

from accounts.errors import OtherPerson
from accounts.models import User


def person_json(user: User) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "name": user.name,
        "email": user.email,
        "is_guest": user.is_guest,
    }


def require_person(user: User, named: object) -> None:
    """A page names whose it is, if it knows: what it sends must not become somebody else's, who has
    signed in since in another tab. Raises OtherPerson."""
    if named is not None and named != str(user.id):
        raise OtherPerson


def initials(user: User) -> str:
    """What stands where the picture would: of the first and the last name, else of the address;
    empty for somebody who has told neither. The same as in static/js/chat/lib/format.js."""
    words = user.name.split() or [user.email or ""]
    letters = [words[0][:1], words[-1][:1] if len(words) > 1 else ""]
    return "".join(letters).upper()
