"""Sessions in the database, with their person: read in one statement, and deleted together.

The session of somebody who has not signed in (it may hold an address they typed, or a code they
wait for) lives for a day only.
"""

import uuid
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import VALID_KEY_CHARS
from django.utils import timezone
from django.utils.crypto import constant_time_compare, get_random_string

from accounts.models import Session, User

SESSION_KEY_CHARS = 32  # as Django's
ANONYMOUS_AGE = timedelta(days=1)


class SessionStore(db.SessionStore):
    # The person of the session's row, as read last.
    _person: User | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def load(self) -> dict[str, Any]:
        return self._read(cast(Any, self)._get_session_from_db())

    async def aload(self) -> dict[str, Any]:
        return self._read(await cast(Any, self)._aget_session_from_db())

    def _read(self, row: Session | None) -> dict[str, Any]:
        """The data of a row; {} for a session that does not exist or has expired."""
        self._person = row.person if row else None
        return self.decode(row.session_data) if row else {}

    def signed_in_person(self) -> User | None:
        """The person that `django.contrib.auth.get_user` would read again from the database.

        None in all other cases, also where it would sign the session out or renew it, so that the
        caller asks Django. Sync, but executes no statement if the session was loaded before.
        """
        named, person = self.get(SESSION_KEY), self._person
        if person is None or named != str(person.id) or not person.is_active:
            return None
        if self.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
            return None
        signature = self.get(HASH_SESSION_KEY) or ""
        is_valid = constant_time_compare(signature, person.get_session_auth_hash())
        return person if is_valid else None

    def cycle_key(self) -> None:
        """A session that is not stored has no key to change: it gets one when it is saved."""
        self.keys()  # Reads the session, and forgets a key that is not stored.
        if self.session_key is not None:
            super().cycle_key()
        self.modified = True

    def _get_new_session_key(self) -> str:
        """`create` tries again if the key is taken, so it is not looked up first."""
        return get_random_string(SESSION_KEY_CHARS, VALID_KEY_CHARS)

    async def _aget_new_session_key(self) -> str:
        return self._get_new_session_key()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        return _with_person(super().create_model_instance(data), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return _with_person(await super().acreate_model_instance(data), data)


def _with_person(row: Any, data: dict[str, Any]) -> Session:
    assert isinstance(row, Session)
    row.person_id = uuid.UUID(data[SESSION_KEY]) if SESSION_KEY in data else None
    if row.person_id is None:
        row.expire_date = min(row.expire_date, timezone.now() + ANONYMOUS_AGE)
    return row
