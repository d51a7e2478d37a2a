"""Counting the bytes of logs that an earlier release wrote: see streams/sizes.py.

A log counts itself from the next append on. Its earlier entries are counted when a bound is first
checked, and by this chore, so that nobody has to wait for it: a few people at a time, once.
"""

import uuid

from asgiref.sync import sync_to_async

from accounts.models import User
from streams.log import get_log

# People in one run of the chore, and calls of count.lua for each of them.
PEOPLE = 100
STEPS = 200
FIRST = uuid.UUID(int=0)


class LogCount:
    """Goes through all people once; a mark in Redis records that it is done."""

    def __init__(self) -> None:
        self._after: uuid.UUID | None = FIRST

    @property
    def is_done(self) -> bool:
        return self._after is None

    async def run(self) -> None:
        """Count the logs of the next people; a log too long for one run is continued later."""
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


def _people_after(person_id: uuid.UUID) -> list[User]:
    return list(User.objects.filter(id__gt=person_id).order_by("id")[:PEOPLE])
