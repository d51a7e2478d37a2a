"""The person of a request, and their data as their own pages and sockets show it."""

from typing import Any

from django.http import HttpRequest

from accounts.errors import NotSignedIn, OtherPerson
from accounts.models import User


def person_json(user: User) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "name": user.name,
        "email": user.email,
        "is_guest": user.is_guest,
        "is_staff": user.is_staff,
    }


async def require_user(request: HttpRequest) -> User:
    """The account or guest of the request. Raises NotSignedIn."""
    user = await request.auser()
    if not isinstance(user, User) or not user.is_active:
        raise NotSignedIn
    return user


def require_person(user: User, named: object) -> None:
    """Raise OtherPerson if a page was loaded by somebody else (`named`, an id or None): another
    person may have signed in since, in another tab."""
    if named is not None and named != str(user.id):
        raise OtherPerson


def initials(user: User) -> str:
    """The placeholder for a picture: from the first and last name, or else from the email; empty
    without either. Same as in static/js/chat/lib/format.js."""
    words = user.name.split() or [user.email or ""]
    letters = [words[0][:1], words[-1][:1] if len(words) > 1 else ""]
    return "".join(letters).upper()
