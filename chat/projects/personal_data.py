"""The projects in the registry of personal data."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from accounts.personal_data_registry import ExportFile, PersonalData
from chat.models import Chat, Project
from chat.projects.rows import projects_of
from chat.projects.store import notify

# Guests who join an account bring theirs along, up to this many in all.
MAX_JOINED = 400
EXPORTED = ("id", "name", "instructions", "created_at", "updated_at")


async def hand_over(guest: User, account: User, last: bool) -> None:
    if await sync_to_async(_move)(guest, account):
        await notify(account)


def _move(guest: User, account: User) -> bool:
    """Returns whether projects were moved. A chat is moved by chat/personal_data/merge_guest.py and
    stays in its project, whichever is moved first."""
    with transaction.atomic():
        User.objects.select_for_update().filter(id=account.id).first()
        room = max(0, MAX_JOINED - projects_of(account).count())
        newest = Project.objects.filter(owner=guest).order_by("-created_at", "id")
        ids = list(newest.values_list("id", flat=True))
        moved = Project.objects.filter(id__in=ids[:room], owner=guest).update(owner=account)
        Chat.objects.filter(project__in=ids[room:]).update(project=None)
        return moved > 0


async def erase(person: User) -> None:
    await Project.objects.filter(owner=person).adelete()


def in_use(since: datetime) -> QuerySet[Any]:
    return Project.objects.filter(updated_at__gte=since).values("owner_id")


async def export(person: User) -> AsyncIterator[ExportFile]:
    if await projects_of(person).aexists():
        yield ExportFile("projects.json", _projects_json(person))


async def _projects_json(person: User) -> AsyncIterator[bytes]:
    rows = [row async for row in projects_of(person).values(*EXPORTED)]
    yield json.dumps(rows, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1).encode() + b"\n"


personal_data = PersonalData("projects", hand_over, erase, in_use, export)
