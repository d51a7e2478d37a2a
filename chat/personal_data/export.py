"""A person's chats for the archive of everything that is theirs: each once to be read (Markdown),
and once as it is stored (NDJSON: one event a line, as docs/protocol.md describes them).

Chats that were deleted are left out. Of an answer that has ended, its end holds the whole text.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from django.db.models import QuerySet

from accounts.models import User
from accounts.personal_data.file_names import safe_name
from accounts.personal_data_registry import ExportFile
from chat.folding import fold_chat
from chat.models import Chat
from chat.personal_data.markdown_export import as_markdown
from streams.log import Entry, get_log

CHATS_A_PAGE = 100


async def export(person: User) -> AsyncIterator[ExportFile]:
    async for chat in _chats(person):
        name = f"{chat.created_at:%Y-%m-%d} {safe_name(chat.title, 'Chat')} ({str(chat.id)[:8]})"
        yield ExportFile(f"chats/{name}.md", _markdown(person, chat))
        yield ExportFile(f"chats/{name}.ndjson", _ndjson(person, chat), parts=1)


async def export_parts(person: User) -> int:
    return await _own(person).acount()


def _own(person: User) -> QuerySet[Chat]:
    return Chat.objects.filter(owner=person, deleted_at=None).order_by("created_at", "id")


async def _chats(person: User) -> AsyncIterator[Chat]:
    """In pages: an open cursor would keep a connection for as long as the archive takes."""
    ids = [chat_id async for chat_id in _own(person).values_list("id", flat=True)]
    for start in range(0, len(ids), CHATS_A_PAGE):
        page = _own(person).filter(id__in=ids[start : start + CHATS_A_PAGE])
        for chat in [chat async for chat in page]:
            yield chat


async def _markdown(person: User, chat: Chat) -> AsyncIterator[bytes]:
    transcript = await fold_chat(get_log(), person.stream, str(chat.id))
    # In a thread, as the worker is writing answers meanwhile.
    for piece in await asyncio.to_thread(as_markdown, transcript, chat):
        yield piece.encode()


async def _ndjson(person: User, chat: Chat) -> AsyncIterator[bytes]:
    async for entries in get_log().slices(person.stream, str(chat.id)):
        yield b"".join(map(_line, entries))


def _line(entry: Entry) -> bytes:
    at = datetime.fromtimestamp(entry.ms / 1000, UTC).isoformat(timespec="milliseconds")
    return b'{"id":"%s","at":"%s","event":%s}\n' % (entry.id.encode(), at.encode(), entry.data)
