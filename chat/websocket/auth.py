"""The person of a socket: the one who is signed in to the session that its cookie names."""

from typing import Any

from channels.auth import AuthMiddleware, get_user
from channels.db import database_sync_to_async
from channels.sessions import CookieMiddleware, SessionMiddleware


class SessionAuth(AuthMiddleware):
    """Reads the session and its person with one statement (accounts/session_store.py)."""

    async def resolve_scope(self, scope: Any) -> None:
        person = await database_sync_to_async(scope["session"].signed_in_person)()
        scope["user"]._wrapped = person or await get_user(scope)


def with_session(inner: Any) -> Any:
    return CookieMiddleware(SessionMiddleware(SessionAuth(inner)))
