"""Orders transcriptions: when a file of sound is ready, and when its owner asks again. Sync."""

import uuid
from typing import Any

from django.db import transaction

from accounts import limits
from accounts.errors import LimitReached
from accounts.models import User
from accounts.sockets import wake_workers
from chat.files.errors import FileKind, FileNotReady
from chat.files.transcribing.means import means_for
from chat.models import StoredFile, Transcription

WAKE_ON = "transcription"
State = Transcription.State


def wanted(owner: User) -> dict[str, Any] | None:
    """The columns of the row for a new file of sound; None if nothing writes its speech down. Call
    it outside of transactions, because it asks Redis."""
    if means_for(owner) is None:
        return None
    try:
        limits.take_transcription(owner)
    except LimitReached:
        return {"state": State.FAILED, "error_code": "limit"}
    return {}


def order(file_id: uuid.UUID, columns: dict[str, Any]) -> None:
    """Create the row. Call it in the transaction that makes the file ready."""
    Transcription.objects.create(file_id=file_id, **columns)
    wake()


def order_again(row: StoredFile) -> None:
    """Have another try at a transcription that failed, or the first if nothing could write it down
    before. Does nothing if there is one, or a worker is at it. Raises LimitReached, FileKind,
    FileNotReady."""
    if row.state != StoredFile.State.READY:
        raise FileNotReady
    if row.facts.get("kind") != "audio":
        raise FileKind
    existing: Transcription | None = getattr(row, "transcription", None)
    if existing is not None and existing.state != State.FAILED:
        return
    if means_for(row.owner) is None:
        return
    limits.take_transcription(row.owner)
    with transaction.atomic():
        # The file is locked: two requests must not begin two runs.
        if not StoredFile.objects.select_for_update().filter(id=row.id, state=row.state).exists():
            return
        transcription = Transcription.objects.filter(file_id=row.id).first()
        if transcription is None:
            order(row.id, {})
        elif transcription.state == State.FAILED:
            Transcription.objects.filter(file_id=row.id).update(
                state=State.WAITING,
                run=transcription.run + 1,
                attempts=0,
                errors=0,
                error_code="",
                leased_until=None,
            )
            wake()


def wake() -> None:
    """Have workers look for waiting sound, and for texts that a log has to get."""
    wake_workers(WAKE_ON)
