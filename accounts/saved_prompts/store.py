"""The prompts that people keep to use again: `/` at the start of a message lists them.

They are bounded in number and length, and count towards their owner's storage. A guest who signs up
keeps theirs, because the row of the person stays; the prompts of one who joins an account move to
it.
"""

import uuid
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from accounts import storage
from accounts.errors import AccountsError, NotSignedIn
from accounts.models import SavedPrompt, User
from accounts.personal_data_registry import PersonalData

MAX_PROMPTS = 50
# Guests who join an account bring theirs along, up to this many in all.
MAX_JOINED = 200
MAX_TITLE_CHARS = 80
MAX_TEXT_CHARS = 8_000


class TooManyPrompts(AccountsError):
    code = "too_many_prompts"
    message = gettext_noop(
        "You have as many saved prompts as one can have. Delete one that you no longer need."
    )


def prompts_of(person: User) -> QuerySet[SavedPrompt]:
    return SavedPrompt.objects.filter(owner=person).order_by("title", "id")


async def save(person: User, prompt: SavedPrompt | None, title: str, text: str) -> None:
    """Add a prompt, or change `prompt`. Raises TooManyPrompts, StorageFull and AddressFull, and
    NotSignedIn if the person does not exist any more."""
    size = len(title.encode()) + len(text.encode())
    await storage.require_room_outside_log(person, size - (prompt.size_bytes if prompt else 0))
    fields = {"title": title, "text": text, "size_bytes": size}
    if prompt is None:
        await sync_to_async(_add)(person, fields)
    else:
        await SavedPrompt.objects.filter(id=prompt.id, owner=person).aupdate(**fields)


def _add(person: User, fields: dict[str, Any]) -> None:
    with transaction.atomic():
        # The lock on the person lets two requests at once not exceed the bound together.
        locked = User.objects.select_for_update().filter(id=person.id, is_active=True).first()
        if locked is None:
            raise NotSignedIn
        if prompts_of(person).count() >= MAX_PROMPTS:
            raise TooManyPrompts
        SavedPrompt.objects.create(owner=locked, **fields)


async def remove(person: User, prompt_id: uuid.UUID) -> None:
    """Delete a prompt; one that is gone already stays gone."""
    await SavedPrompt.objects.filter(id=prompt_id, owner=person).adelete()


# Personal data; account.json of the archive has the prompts (accounts/personal_data/handlers.py).


async def _hand_over(guest: User, account: User, last: bool) -> None:
    await sync_to_async(_move)(guest, account)


def _move(guest: User, account: User) -> None:
    with transaction.atomic():
        User.objects.select_for_update().filter(id=account.id).first()
        room = max(0, MAX_JOINED - prompts_of(account).count())
        newest = SavedPrompt.objects.filter(owner=guest).order_by("-created_at", "id")[:room]
        moved = list(newest.values_list("id", flat=True))
        SavedPrompt.objects.filter(id__in=moved, owner=guest).update(owner=account)


async def _erase(person: User) -> None:
    await SavedPrompt.objects.filter(owner=person).adelete()


def _in_use(since: datetime) -> QuerySet[Any]:
    return SavedPrompt.objects.filter(created_at__gte=since).values("owner_id")


personal_data = PersonalData("saved prompts", _hand_over, _erase, _in_use)
