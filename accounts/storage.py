"""How much a person may store, and how much they do.

It counts what their log holds (streams/sizes.py) and what upper apps register here. A budget is a
bound on new text, not on reading, deleting, signing in or exporting; an answer that has begun is
written to its end.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.conf import settings

from accounts.errors import StorageBusy, StorageFull
from accounts.models import User
from streams.errors import StreamsError
from streams.log import get_log

# Calls of count.lua that one request waits for, where the log is an old one: half a second at most.
# What is not counted by then is counted by a worker, and the person may write until it is.
COUNT_STEPS = 100
# A page that only tells how much is stored waits no longer for Redis.
PAGE_WAITS_S = 1.0

# Bytes of a person outside of their log. Sync.
others: list[Callable[[User], int]] = []


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes; a budget of 0 is none."""

    used: int
    budget: int


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
    return Stored(size.total + await sync_to_async(bytes_elsewhere)(person), budget_of(person))


def bytes_elsewhere(person: User) -> int:
    return sum(count(person) for count in others)


async def room_in_log(person: User) -> int:
    """Bytes that the log of this person may hold beside what they store elsewhere; 0 is any number.

    Raises StorageFull when nothing is left for it.
    """
    budget = budget_of(person)
    if not budget:
        return 0
    await get_log().sizes.count(person.stream, COUNT_STEPS)
    room = budget - await sync_to_async(bytes_elsewhere)(person)
    if room <= 0:
        raise StorageFull(person)
    return room


async def require_memory(person: User | None) -> None:
    """Raises StorageBusy while Redis is too full for new text of this person; None is a visitor.

    Guests give way first. What is then left is for answers under way, and for what is no text.
    """
    most: int = settings.REDIS_PERCENT_FOR_ACCOUNTS
    if person is None or person.is_guest:
        most = min(most, settings.REDIS_PERCENT_FOR_GUESTS)
    if await get_log().memory.percent() >= most:
        raise StorageBusy
