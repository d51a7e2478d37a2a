"""How much a person stores, and how much they may store.

The total is the sum of their log (streams/sizes.py), picture, archive and saved prompts, and of the
data that the apps above register in `outside_log`. Copies of the log in the database are not
counted, because they grow with it (docs/decisions/operations.md). A full budget refuses new text
only: people can still read, delete, sign in and export, and an answer that has begun is completed.
"""

import asyncio
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.models import BigIntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts import limits
from accounts.client_address import current_address_group
from accounts.errors import StorageBusy, StorageFull
from accounts.models import Export, Preferences, SavedPrompt, User
from streams.errors import StreamsError
from streams.log import get_log

# How many times a request calls count.lua for a log that was never counted: half a second at most.
# A worker counts the rest, and the person may write until it is done.
COUNT_STEPS = 100
# A page that only shows the size waits no longer than this for Redis.
PAGE_WAITS_S = 1.0


def bytes_of(rows: QuerySet[Any, Any]) -> Coalesce:
    """The number that `rows` select for a person (`OuterRef("pk")`), or 0."""
    return Coalesce(Subquery(rows, output_field=BigIntegerField()), 0)


_OF_PERSON = {"person": OuterRef("pk")}
_PROMPTS = SavedPrompt.objects.filter(owner=OuterRef("pk")).order_by().values("owner")
# Bytes that a person stores outside their log, by kind; one statement reads them all.
outside_log: dict[str, Coalesce] = {
    "picture": bytes_of(Preferences.objects.filter(**_OF_PERSON).values("picture_bytes")),
    "archive": bytes_of(Export.objects.filter(**_OF_PERSON).values("size_bytes")),
    "prompts": bytes_of(_PROMPTS.annotate(total=Sum("size_bytes")).values("total")),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A person's storage in bytes. A budget of 0 is unlimited; `used` includes `archive`."""

    used: int
    budget: int
    archive: int = 0


def budget_of(person: User) -> int:
    """Bytes that this person may store; 0 is unlimited."""
    budget: int = (
        settings.LIMIT_STORED_BYTES_GUEST
        if person.is_guest
        else settings.LIMIT_STORED_BYTES_ACCOUNT
    )
    return budget


async def stored_for_page(person: User) -> Stored | None:
    """Like `stored_by`; None if Redis does not answer in time."""
    try:
        async with asyncio.timeout(PAGE_WAITS_S):
            await get_log().sizes.count(person.stream, COUNT_STEPS)
            return await stored_by(person)
    except (StreamsError, TimeoutError):
        return None


async def stored_by(person: User) -> Stored:
    """The bytes that the person stores, as far as they have been counted."""
    size = await get_log().sizes.of(person.stream)
    outside = await sync_to_async(bytes_outside_log)(person)
    return Stored(size.total + sum(outside.values()), budget_of(person), outside["archive"])


def bytes_outside_log(person: User) -> dict[str, int]:
    """Bytes by kind, read in one statement, because every send needs them. Sync."""
    sizes = User.objects.filter(id=person.id).values_list(*outside_log.values()).first()
    return dict(zip(outside_log, sizes or repeat(0), strict=False))


async def room_in_log(person: User) -> int:
    """Bytes that a person's log may hold beside what they store outside it; 0 is unlimited.

    Raises StorageFull if nothing is left for the log.
    """
    budget = budget_of(person)
    if not budget:
        return 0
    await get_log().sizes.count(person.stream, COUNT_STEPS)
    room = budget - sum((await sync_to_async(bytes_outside_log)(person)).values())
    if room <= 0:
        raise StorageFull(person)
    return room


async def require_room_outside_log(person: User, more: int) -> None:
    """Require room for `more` bytes in the database, such as a longer text of a person's own.
    Raises StorageFull and AddressFull."""
    if more <= 0:
        return
    budget = budget_of(person)
    if budget and (await stored_by(person)).used + more > budget:
        raise StorageFull(person)
    await count_for_address(person, more, in_log=False)


async def count_for_address(person: User | None, size: int, *, in_log: bool = True) -> None:
    """Count `size` bytes against what guests at the same address may store in a day.

    With `in_log` it also counts the bytes appended to the guest's log since the last call, such as
    answers. The first message of a visitor (None), who has no log yet, is counted again with the
    second. Raises AddressFull, and counts nothing then.
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


async def count_files_for_address(person: User | None, size: int) -> None:
    """Count `size` bytes of files against what guests at the same address may upload in a day.
    Raises AddressFull, and counts nothing then."""
    group = current_address_group()
    if group is not None and (person is None or person.is_guest):
        await sync_to_async(limits.take_guest_file_bytes)(group, size)


async def require_memory(person: User | None) -> None:
    """Raise StorageBusy while Redis is too full for new text of this person; None is a visitor.

    Guests are refused first. The rest is reserved for running answers and for data other than text.
    """
    most: int = settings.REDIS_PERCENT_FOR_ACCOUNTS
    if person is None or person.is_guest:
        most = min(most, settings.REDIS_PERCENT_FOR_GUESTS)
    if await get_log().memory.percent() >= most:
        raise StorageBusy
