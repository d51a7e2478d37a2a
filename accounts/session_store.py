"""Sessions in the database, with the id of their person, so that all of a person's can be deleted.

The session of somebody who has not signed in (it may hold an address they typed, or a code they
wait for) lives for a day only.
"""

import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.utils import timezone

from accounts.models import Session

ANONYMOUS_AGE = timedelta(days=1)


class SessionStore(db.SessionStore):
    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

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
