"""Sessions in the database, each with the person it belongs to, so that all of a person's can go.

What is kept for somebody who has not signed in (an address they typed, a code they wait for) lives
for a day only.
"""

import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.utils import timezone

from accounts.models import Session

NOBODYS_AGE = timedelta(days=1)


class SessionStore(db.SessionStore):
    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        return _owned(super().create_model_instance(data), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return _owned(await super().acreate_model_instance(data), data)


def _owned(row: Any, data: dict[str, Any]) -> Session:
    assert isinstance(row, Session)
    row.person_id = uuid.UUID(data[SESSION_KEY]) if SESSION_KEY in data else None
    if row.person_id is None:
        row.expire_date = min(row.expire_date, timezone.now() + NOBODYS_AGE)
    return row
