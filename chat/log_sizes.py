"""Counting the logs that an earlier release wrote: see streams/sizes.py.

A log that is appended to counts itself from then on. What was there before is counted when a bound
is first asked for, and here, so that nobody has to wait for it: some people at a time, once.
"""

import uuid

from asgiref.sync import sync_to_async

from accounts.models import User
from streams.log import get_log

# People looked at in one go, and calls of count.lua for one of them.
PEOPLE = 100
STEPS = 200
FIRST = uuid.UUID(int=0)


class LogCount:
    """Goes through all people once; a mark in Redis says that it has been done."""

    def __init__(self) -> None:
        self._after: uuid.UUID | None = FIRST

    @property
    def is_done(self) -> bool:
        return self._after is None

    async def run(self) -> None:
        """One step. Who was not counted to the end is gone on with in the next."""
        if self._after is None:
            return
        sizes = get_log().sizes
        if self._after == FIRST and await sizes.are_whole():
            self._after = None
            return
        people = await sync_to_async(_people_after)(self._after)
        for person in people:
            if not await sizes.count(person.stream, STEPS):
                return
            self._after = person.id
        if not people:
            await sizes.note_all_whole()
            self._after = None


def _people_after(place: uuid.UUID) -> list[User]:
    return list(User.objects.filter(id__gt=place).order_by("id")[:PEOPLE])
