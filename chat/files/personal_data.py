"""The files in the registry of personal data. It comes before chats, which cannot be erased while
they have files."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet

from accounts.models import User
from accounts.personal_data.file_names import safe_name
from accounts.personal_data_registry import ExportFile, PersonalData
from chat.files import objects
from chat.files.sweeping import erase_files_of
from chat.models import StoredFile

# In the archive.
FOLDER = "files"
State = StoredFile.State


async def hand_over(guest: User, account: User, last: bool) -> None:
    """Files of messages move with their chats (chat/personal_data/merge_guest.py); here those that
    no message has yet."""
    await StoredFile.objects.filter(owner=guest, chat=None).aupdate(owner=account)


async def erase(person: User) -> None:
    await sync_to_async(erase_files_of)(person)


def in_use(since: datetime) -> QuerySet[Any]:
    return StoredFile.objects.filter(changed_at__gte=since).values("owner_id")


async def export(person: User) -> AsyncIterator[ExportFile]:
    """The originals, by the names to which the Markdown of the chats links, and the WAV of
    sound."""
    rows = StoredFile.objects.filter(owner=person, state=State.READY, chat__deleted_at=None)
    kept = rows.filter(chat__isnull=False, chat__is_temporary=False).order_by("created_at", "id")
    for row in [row async for row in kept]:
        name = f"{FOLDER}/{export_name(row.facts)}"
        yield ExportFile(name, _content(row, objects.ORIGINAL))
        # Sound has no other rendition.
        if row.facts["kind"] == "audio" and row.stored_bytes > row.size_bytes:
            yield ExportFile(f"{name}.wav", _content(row, objects.WAV))


def export_name(facts: dict[str, Any]) -> str:
    """The name of a file in the archive, beside others of the same name."""
    # The end of the id, because its start is the time.
    return f"{facts['id'][-8:]} {safe_name(facts['name'], 'file')}"


async def _content(row: StoredFile, rendition: str) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(objects.open_rendition, row.id, rendition)
    except FileNotFoundError:
        return
    try:
        while chunk := await asyncio.to_thread(file.read, objects.CHUNK_BYTES):
            yield chunk
    finally:
        await asyncio.to_thread(file.close)


personal_data = PersonalData("files", hand_over, erase, in_use, export)
