"""Gives files to a message, in the transaction that places it. Sync."""

import uuid
from collections.abc import Sequence
from typing import Any

from accounts.models import User
from chat.files import uploads
from chat.files.errors import MAX_FILES_BYTES, FileNotFound, FileNotReady, TooManyFiles
from chat.files.transcribing import orders
from chat.models import Chat, StoredFile

State = StoredFile.State
Facts = dict[str, Any]


def ready_files(owner: User | None, file_ids: Sequence[uuid.UUID]) -> list[Facts]:
    """The files as the message will have them, of those that are ready now."""
    if owner is None or not file_ids:
        return []
    ready = StoredFile.objects.filter(owner=owner, id__in=file_ids, state=State.READY)
    return list(ready.values_list("facts", flat=True))


def attached_name(owner: User, file_id: uuid.UUID) -> str:
    """The name of a file; "" if there is no such file."""
    names = StoredFile.objects.filter(owner=owner, id=file_id).values_list("name", flat=True)
    return names.first() or ""


def attach(owner: User, chat: Chat, file_ids: Sequence[uuid.UUID]) -> list[Facts]:
    """The files as the message has them. From now on they belong to the chat.

    Raises FileNotFound (also if another chat has one), FileNotReady, TooManyFiles, and the
    FileRefusal of a file that was refused.
    """
    if not file_ids:
        return []
    locked = StoredFile.objects.select_for_update().filter(owner=owner, id__in=file_ids)
    rows = {row.id: row for row in locked.order_by("id")}
    attached = [_usable(rows.get(file_id), chat) for file_id in file_ids]
    if sum(row.size_bytes for row in attached) > MAX_FILES_BYTES:
        raise TooManyFiles
    StoredFile.objects.filter(id__in=file_ids, chat=None).update(chat=chat)
    if any(row.facts["kind"] == "audio" for row in attached):
        orders.wake()  # Its transcription may be there already.
    return [row.facts for row in attached]


def _usable(row: StoredFile | None, chat: Chat) -> StoredFile:
    if row is None or row.state == State.ERASED or row.chat_id not in (None, chat.id):
        raise FileNotFound
    if row.state == State.REFUSED:
        raise uploads.refusal_of(row)
    if row.state != State.READY:
        raise FileNotReady
    return row
