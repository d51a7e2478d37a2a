"""A person's chats for the archive of their data: each as Markdown to read, and as NDJSON as
stored.

The NDJSON has one event per line, as docs/protocol.md describes them. The text of a finished answer
is in its last event. Deleted and temporary chats are left out.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from accounts.models import User
from accounts.personal_data.file_names import safe_name
from accounts.personal_data_registry import ExportFile
from chat.files.personal_data import FOLDER, export_name
from chat.folding import fold_chat
from chat.models import Chat
from chat.personal_data.markdown_export import render_markdown
from streams.log import Entry, get_log

CHATS_A_PAGE = 100


async def export(person: User) -> AsyncIterator[ExportFile]:
    async for chat in _chats(person):
        name = f"{chat.created_at:%Y-%m-%d} {safe_name(chat.title, 'Chat')} ({str(chat.id)[:8]})"
        yield ExportFile(f"chats/{name}.md", _markdown(person, chat))
        yield ExportFile(f"chats/{name}.ndjson", _ndjson(person, chat), parts=1)


async def export_parts(person: User) -> int:
    return await _chats_of(person).acount()


def _chats_of(person: User) -> QuerySet[Chat]:
    chats = Chat.objects.filter(owner=person, deleted_at=None, is_temporary=False)
    return chats.order_by("created_at", "id")


async def _chats(person: User) -> AsyncIterator[Chat]:
    """The chats, read in pages: a cursor would occupy a connection while the archive is written."""
    ids = [chat_id async for chat_id in _chats_of(person).values_list("id", flat=True)]
    for start in range(0, len(ids), CHATS_A_PAGE):
        page = _chats_of(person).filter(id__in=ids[start : start + CHATS_A_PAGE])
        for chat in [chat async for chat in page]:
            yield chat


async def _markdown(person: User, chat: Chat) -> AsyncIterator[bytes]:
    transcript = await fold_chat(get_log(), person.stream, str(chat.id))
    # In a thread, so that it does not block answers that this worker is writing.
    for piece in await asyncio.to_thread(render_markdown, transcript, chat, _beside):
        yield piece.encode()


def _beside(file: dict[str, Any]) -> str:
    """The path of an attached file, as seen from `chats/`."""
    return f"../{FOLDER}/{export_name(file)}"


async def _ndjson(person: User, chat: Chat) -> AsyncIterator[bytes]:
    async for entries in get_log().slices(person.stream, str(chat.id)):
        yield b"".join(map(_line, entries))


def _line(entry: Entry) -> bytes:
    at = datetime.fromtimestamp(entry.ms / 1000, UTC).isoformat(timespec="milliseconds")
    return b'{"id":"%s","at":"%s","event":%s}\n' % (entry.id.encode(), at.encode(), entry.data)
