"""Copies messages from the log to the database for search, about a second behind.

A chat with new messages is due (`search_due_at`, set in the transactions that place and settle
answers). `catch_up` reads its entries after the last indexed one and writes their texts. If a
worker dies meanwhile, the chat stays due, and reading again writes the same texts. The log is the
source of truth: `start_over` makes every chat due from its first entry.
"""

import asyncio
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import DataError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from chat.events import MessageCompleted, MessageCreated, MessageError
from chat.models import Chat, MessageText
from chat.search.file_texts import texts_of
from chat.search.speech import sounds_in, speech_in, with_messages_of_files
from chat.search.words import MAX_CHARS, VERSION, searchable
from streams.cursors import START
from streams.log import Entry, get_log

logger = logging.getLogger(__name__)

CHATS_AT_A_TIME = 20
# A page of the log is also bounded in bytes.
ENTRIES_AT_A_TIME = 200
# A send becomes due shortly before its entries are in the log.
DUE_FOR = timedelta(milliseconds=500)
PAUSE_S = 1.0
BEFORE_ALL = "0-1"  # a position before all entries, like START
STORAGE_PAUSE = timedelta(minutes=1)


async def catch_up_all() -> None:
    """Index until no chat is due, not even since a moment ago."""
    while await _all_due().aexists():
        await catch_up()
        await asyncio.sleep(PAUSE_S)


async def catch_up(limit: int = CHATS_AT_A_TIME) -> int:
    """Index the chats that are due; returns how many. Concurrent calls are safe."""
    due = await sync_to_async(_due)(limit)
    for chat in due:
        try:
            await _catch_up(chat)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, DataError):
            # A chat that cannot be read must not prevent indexing the others.
            logger.exception("chat %s cannot be indexed", chat.id)
            await sync_to_async(_put_off)(chat, None)
        except OSError as error:
            logger.warning(
                "chat %s is indexed later, as its files cannot be read: %s", chat.id, error
            )
            await sync_to_async(_put_off)(chat, timezone.now() + STORAGE_PAUSE)
    return len(due)


def start_over() -> int:
    """Make every chat due from its start; returns how many. Existing texts stay indexed. Sync."""
    return Chat.objects.filter(is_temporary=False).update(
        searchable_to=START, search_due_at=timezone.now() - DUE_FOR
    )


def forget(chat_id: uuid.UUID) -> None:
    """Delete the texts of a chat, and make it due from its start: one of its files was erased, and
    its words with it. Sync."""
    with transaction.atomic():
        chat = Chat.objects.select_for_update().filter(id=chat_id).first()
        if chat is None:
            return
        # Another position than before, so that nobody stores what was read before this.
        chat.searchable_to = BEFORE_ALL if chat.searchable_to == START else START
        chat.search_due_at = timezone.now() - DUE_FOR
        chat.save(update_fields=["searchable_to", "search_due_at"])
        MessageText.objects.filter(chat_id=chat_id).delete()


def due_count() -> int:
    return _all_due().count()


def _all_due() -> QuerySet[Chat]:
    """Temporary chats are never indexed. They become due when they are kept."""
    return Chat.objects.filter(search_due_at__isnull=False, is_temporary=False)


async def _catch_up(chat: Chat) -> None:
    stream, after = chat.owner.stream, chat.searchable_to
    seen: set[uuid.UUID] = set()
    while True:
        entries, more = await get_log().read_page(
            stream, str(chat.id), after, ENTRIES_AT_A_TIME, parts=False
        )
        to = entries[-1].id if entries else after
        entries = await with_messages_of_files(stream, str(chat.id), entries)
        # In a thread: splitting a long text into words would block the event loop.
        texts = await asyncio.to_thread(_texts, entries, await speech_in(entries))
        seen.update(text.message_id for text in texts)
        if not await sync_to_async(_store)(chat, texts, after, to, not more):
            return
        after = to
        if not more:
            break
    if chat.searchable_to == START:
        await sync_to_async(_drop_others)(chat, seen)


def _due(limit: int) -> list[Chat]:
    due = _all_due().filter(search_due_at__lte=timezone.now() - DUE_FOR)
    return list(due.select_related("owner").order_by("search_due_at")[:limit])


def _texts(entries: list[Entry], speech: dict[str, str]) -> list[MessageText]:
    """The texts that these entries complete; for a continued message, the last one. `speech`: what
    is said in attached sound, by the ids of the files."""
    texts: dict[str, MessageText] = {}
    for entry in entries:
        completed = _completed_message(entry)
        if completed is None or not completed[2].strip():
            continue
        message, role, text = completed
        said = (speech.get(file_id) for file_id in sounds_in(entry))
        text = "\n".join([text, *filter(None, said)])
        texts[message] = MessageText(
            message_id=uuid.UUID(message),
            role=role,
            text=text.replace("\x00", ""),  # PostgreSQL keeps no NUL.
            words=searchable(text),
            words_version=VERSION,
            said_at=datetime.fromtimestamp(entry.ms / 1000, UTC),
        )
    return list(texts.values())


def _completed_message(entry: Entry) -> tuple[str, str, str] | None:
    """(message, role, text) if the entry contains the whole text of a message."""
    if entry.type not in (MessageCreated.type, MessageCompleted.type, MessageError.type):
        return None
    data = orjson.loads(entry.data)
    match entry.type:
        case MessageCreated.type:
            text = _of_user(data) if data.get("role") == "user" else ""
            return (data["message"], "user", text) if text else None
        case MessageCompleted.type:
            text = data.get("text")
        case _:
            text = data.get("text_kept")
    return (data["message"], "assistant", text) if text else None


def _of_user(data: dict[str, Any]) -> str:
    """What somebody wrote, and what is found of the files that they attached."""
    written = data.get("text") or ""
    texts = texts_of(data.get("files") or [], MAX_CHARS - len(written[:MAX_CHARS]))
    return "\n".join(part for part in (written, *texts) if part)


def _store(chat: Chat, texts: list[MessageText], after: str, to: str, is_last: bool) -> bool:
    """Write texts and the new position. False if the position or owner has changed meanwhile."""
    with transaction.atomic():
        now = Chat.objects.select_for_update().filter(id=chat.id, owner=chat.owner).first()
        if now is None or now.searchable_to != after:
            return False
        for text in texts:
            text.chat, text.owner_id = now, now.owner_id
        MessageText.objects.bulk_create(
            texts,
            batch_size=50,
            update_conflicts=True,
            unique_fields=["chat", "message_id"],
            update_fields=["owner", "role", "text", "words", "words_version", "said_at"],
        )
        now.searchable_to = to
        if is_last and now.search_due_at == chat.search_due_at:
            now.search_due_at = None
        now.save(update_fields=["searchable_to", "search_due_at"])
        return True


def _drop_others(chat: Chat, seen: set[uuid.UUID]) -> None:
    """Delete texts that the log lacks, after a chat was read from its start."""
    known = MessageText.objects.filter(chat_id=chat.id).values_list("id", "message_id")
    gone = [pk for pk, message in known if message not in seen]
    for start in range(0, len(gone), 500):
        MessageText.objects.filter(id__in=gone[start : start + 500]).delete()


def drop_traces() -> None:
    """Remove the words of deleted texts, which SQLite's index would keep for a while."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO chat_messagetext_words (chat_messagetext_words) VALUES ('optimize')"
            )


def _put_off(chat: Chat, until: datetime | None) -> None:
    Chat.objects.filter(id=chat.id).update(search_due_at=until)
