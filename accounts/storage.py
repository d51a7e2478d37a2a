"""How much a person may store, and how much they do.

It counts what their log holds (streams/sizes.py), their picture, their archive, and what upper apps
register here. The copies that the database keeps of the log are not counted: they grow with it
(docs/decisions/operations.md). A budget is a bound on new text, not on reading, deleting, signing
in or exporting; an answer that has begun is written to its end.
"""

import asyncio
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.models import BigIntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts import limits
from accounts.client_address import current_address_group
from accounts.errors import StorageBusy, StorageFull
from accounts.models import Export, Preferences, User
from streams.errors import StreamsError
from streams.log import get_log

# Calls of count.lua that one request waits for, where the log is an old one: half a second at most.
# What is not counted by then is counted by a worker, and the person may write until it is.
COUNT_STEPS = 100
# A page that only tells how much is stored waits no longer for Redis.
PAGE_WAITS_S = 1.0


def bytes_of(rows: QuerySet[Any, Any]) -> Coalesce:
    """The number that these rows give of the person at hand (`OuterRef("pk")`), or 0."""
    return Coalesce(Subquery(rows, output_field=BigIntegerField()), 0)


_OF_PERSON = {"person": OuterRef("pk")}
# Bytes of a person outside of their log, by what they are: read together, in one statement.
outside_log: dict[str, Coalesce] = {
    "picture": bytes_of(Preferences.objects.filter(**_OF_PERSON).values("picture_bytes")),
    "archive": bytes_of(Export.objects.filter(**_OF_PERSON).values("size_bytes")),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes; a budget of 0 is none. `archive` is a part of `used`."""

    used: int
    budget: int
    archive: int = 0


def budget_of(person: User) -> int:
    """Bytes that this person may store; 0 is any number."""
    budget: int = (
        settings.LIMIT_STORED_BYTES_GUEST
        if person.is_guest
        else settings.LIMIT_STORED_BYTES_ACCOUNT
    )
    return budget


async def stored_for_page(person: User) -> Stored | None:
    """None while it cannot be told."""
    try:
        async with asyncio.timeout(PAGE_WAITS_S):
            await get_log().sizes.count(person.stream, COUNT_STEPS)
            return await stored_by(person)
    except (StreamsError, TimeoutError):
        return None


async def stored_by(person: User) -> Stored:
    """As far as it is counted."""
    size = await get_log().sizes.of(person.stream)
    found = await sync_to_async(bytes_outside_log)(person)
    return Stored(size.total + sum(found.values()), budget_of(person), found["archive"])


def bytes_outside_log(person: User) -> dict[str, int]:
    """By what they are. One statement, for it is on the path of every send. Sync."""
    found = User.objects.filter(id=person.id).values_list(*outside_log.values()).first()
    return dict(zip(outside_log, found or repeat(0), strict=False))


async def room_in_log(person: User) -> int:
    """Bytes that a person's log may hold beside what they store outside it; 0 is any number.

    Raises StorageFull when nothing is left for it.
    """
    budget = budget_of(person)
    if not budget:
        return 0
    await get_log().sizes.count(person.stream, COUNT_STEPS)
    room = budget - sum((await sync_to_async(bytes_outside_log)(person)).values())
    if room <= 0:
        raise StorageFull(person)
    return room


async def count_for_address(person: User | None, size: int, *, in_log: bool = True) -> None:
    """Count what a guest is about to store among what guests of the same address store in a day.

    With what goes into their log is counted what was appended since, such as answers. The first
    message of a visitor (None), who has no log yet, is counted again with the second.
    Raises AddressFull, and counts nothing then.
    """
    group = current_address_group()
    is_guest = person is None or person.is_guest
    if group is None or not is_guest or not settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS:
        return
    if person is None or not in_log:
        await sync_to_async(limits.take_guest_bytes)(group, size)
        return
    sizes = get_log().sizes
    grown = size + max(0, await sizes.growth(person.stream))
    await sync_to_async(limits.take_guest_bytes)(group, grown)
    await sizes.note_growth(person.stream, grown)


async def require_memory(person: User | None) -> None:
    """Raises StorageBusy while Redis is too full for new text of this person; None is a visitor.

    Guests give way first. What is then left is for answers under way, and for what is no text.
    """
    most: int = settings.REDIS_PERCENT_FOR_ACCOUNTS
    if person is None or person.is_guest:
        most = min(most, settings.REDIS_PERCENT_FOR_GUESTS)
    if await get_log().memory.percent() >= most:
        raise StorageBusy
