"""The upload of a file: announced, sent in parts, completed. Every step may be repeated. Sync.

A file is a row from its announcement on, so that its bytes are counted before they arrive, and are
swept if they never do.
"""

import re
import unicodedata
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import User
from accounts.sockets import wake_workers
from chat.errors import BadRequest, ChatError, IdReused
from chat.files import objects
from chat.files.errors import (
    REFUSALS,
    FileEmpty,
    FileIncomplete,
    FileInUse,
    FileNotFound,
    FileRefusal,
    FileStorageFull,
    FileTooLarge,
)
from chat.files.transcribing.states import transcription_state
from chat.models import StoredFile

PART_BYTES = 4 * 2**20
# The limit of the largest kind; the check applies the one of each kind.
MAX_BYTES = 32_000_000
MAX_WAV_BYTES = 29_000_000
MAX_NAME_CHARS = 255
WAKE_ON = "file"
State = StoredFile.State


@dataclass(frozen=True, slots=True)
class Upload:
    """An announced file. `sha256` in hexadecimal digits. `wav_bytes`: of the WAV that comes with
    sound; 0 without one."""

    id: uuid.UUID
    name: str
    size_bytes: int
    sha256: str
    wav_bytes: int = 0
    wav_sha256: str = ""

    @property
    def all_bytes(self) -> int:
        return self.size_bytes + self.wav_bytes

    def fields(self) -> dict[str, Any]:
        """The columns of the row that are as they were announced."""
        return {name: value for name, value in asdict(self).items() if name != "id"}


def begin(owner: User, upload: Upload) -> StoredFile:
    """The row of an announced file; a repetition returns the same one.

    Raises IdReused, FileEmpty, FileTooLarge, FileStorageFull.
    """
    if upload.size_bytes == 0:
        raise FileEmpty
    if upload.size_bytes > MAX_BYTES or upload.wav_bytes > MAX_WAV_BYTES:
        raise FileTooLarge
    if existing := StoredFile.objects.filter(id=upload.id).first():
        return _repeated(existing, owner, upload)
    try:
        with transaction.atomic():
            # Locked, so that concurrent uploads together do not exceed the quota.
            User.objects.select_for_update().get(id=owner.id)
            _require_room(owner, upload.all_bytes)
            return StoredFile.objects.create(
                id=upload.id, owner=owner, stored_bytes=upload.all_bytes, **upload.fields()
            )
    except IntegrityError:  # The same request, or somebody's with the same id, was quicker.
        return _repeated(StoredFile.objects.get(id=upload.id), owner, upload)


def _repeated(row: StoredFile, owner: User, upload: Upload) -> StoredFile:
    is_same = all(getattr(row, name) == value for name, value in upload.fields().items())
    if row.owner_id != owner.id or not is_same:
        raise IdReused
    return row


def _require_room(owner: User, size: int) -> None:
    if not has_room(owner, size):
        raise FileStorageFull(is_guest=owner.is_guest)


def has_room(owner: User, more: int) -> bool:
    """Whether the files of a person, whose row is locked, may grow by `more` bytes."""
    quota = quota_of(owner)
    return not quota or stored_bytes_of(owner) + more <= quota


def quota_of(owner: User) -> int:
    """The bytes that a person's files may have together; 0 is no limit."""
    quota: int = (
        settings.QUOTA_FILE_BYTES_GUEST if owner.is_guest else settings.QUOTA_FILE_BYTES_ACCOUNT
    )
    return quota


def stored_bytes_of(owner: User) -> int:
    """The bytes of all of a person's files together."""
    total: int | None = StoredFile.objects.filter(owner=owner).aggregate(total=Sum("stored_bytes"))[
        "total"
    ]
    return total or 0


def own_file(owner: User, file_id: uuid.UUID) -> StoredFile:
    """Raises FileNotFound, also for somebody else's and for one that is being erased."""
    rows = StoredFile.objects.exclude(state=State.ERASED).select_related("owner", "transcription")
    row = rows.filter(id=file_id, owner=owner).first()
    if row is None:
        raise FileNotFound
    return row


# What is uploaded is the original and, of sound, the WAV.


def part_size(row: StoredFile, rendition: str, number: int) -> int:
    """The size of one part in bytes. Raises BadRequest if the file has no such part."""
    count = part_count(row, rendition)
    if not 0 <= number < count:
        raise BadRequest(f"This file has {count} parts, counted from 0.")
    return min(PART_BYTES, _size_of(row, rendition) - number * PART_BYTES)


def part_count(row: StoredFile, rendition: str) -> int:
    return -(-_size_of(row, rendition) // PART_BYTES)


def _size_of(row: StoredFile, rendition: str) -> int:
    return row.wav_bytes if rendition == objects.WAV else row.size_bytes


def note_part(row: StoredFile, rendition: str, number: int) -> StoredFile:
    """A part is stored. Returns the row with all the parts that have arrived. Raises FileNotFound
    if the file was erased meanwhile."""
    uploading = StoredFile.objects.filter(id=row.id, state=State.UPLOADING)
    column = "wav_parts" if rendition == objects.WAV else "parts"
    arrived = {column: F(column).bitor(1 << number), "changed_at": timezone.now()}
    if not uploading.update(**arrived):
        # It was completed by a repeated request: the part is no longer needed.
        objects.erase_part(row.id, rendition, number)
    return own_file(row.owner, row.id)


def complete(row: StoredFile) -> StoredFile:
    """Have a worker check the file. Raises FileIncomplete."""
    if row.state != State.UPLOADING:
        return row
    missing, wav_missing = _missing(row, objects.ORIGINAL), _missing(row, objects.WAV)
    if missing or wav_missing:
        raise FileIncomplete(missing, wav_missing)
    with transaction.atomic():
        uploading = StoredFile.objects.filter(id=row.id, state=State.UPLOADING)
        uploading.update(state=State.CHECKING, changed_at=timezone.now())
        wake_workers(WAKE_ON)
    row.refresh_from_db()
    return row


def _missing(row: StoredFile, rendition: str) -> list[int]:
    return sorted(set(range(part_count(row, rendition))) - set(parts_of(row, rendition)))


def discard(owner: User, file_id: uuid.UUID) -> None:
    """Erase a file that no message has. A repetition does nothing. Raises FileInUse."""
    with transaction.atomic():
        row = StoredFile.objects.select_for_update().filter(id=file_id, owner=owner).first()
        if row is not None and row.chat_id is not None:
            raise FileInUse
        if row is not None:
            erase_rows(Q(id=row.id))


def delete_file(owner: User, file_id: uuid.UUID) -> None:
    """Erase a file, also one that messages have: they will name it as deleted. A repetition does
    nothing."""
    with transaction.atomic():
        row = StoredFile.objects.select_for_update().filter(id=file_id, owner=owner).first()
        if row is not None and row.state != State.ERASED:
            erase_rows(Q(id=row.id), erased_from=row.chat_id)


def erase_rows(which: Q, *, erased_from: uuid.UUID | None = None) -> None:
    """Mark files as erased. A worker removes their bytes, then the rows (chat/files/sweeping.py).

    Call it in the transaction that ends the reason to keep them. `erased_from`: the chat that goes
    on without the file.
    """
    erased = {
        "state": State.ERASED,
        "chat": None,
        "erased_from": erased_from,
        "changed_at": timezone.now(),
    }
    if StoredFile.objects.filter(which).exclude(state=State.ERASED).update(**erased):
        wake_workers(WAKE_ON)


def parts_of(row: StoredFile, rendition: str) -> list[int]:
    """The parts that have arrived."""
    arrived = row.wav_parts if rendition == objects.WAV else row.parts
    return [number for number in range(part_count(row, rendition)) if arrived >> number & 1]


def refusal_of(row: StoredFile) -> ChatError:
    """Why the check refused this file."""
    if row.error_code == FileStorageFull.code:
        return FileStorageFull(is_guest=row.owner.is_guest)
    return REFUSALS.get(row.error_code, FileRefusal)()


def file_state(row: StoredFile) -> dict[str, Any]:
    """The `FileState` of docs/protocol.md."""
    state: dict[str, Any] = {
        "id": str(row.id),
        "name": row.name,
        "bytes": row.size_bytes,
        "state": row.state,
        "part_bytes": PART_BYTES,
        "parts": parts_of(row, objects.ORIGINAL),
    }
    if row.wav_bytes:
        state["wav_parts"] = parts_of(row, objects.WAV)
    if row.state == State.READY:
        state["file"] = row.facts
        if row.facts.get("kind") == "audio":
            state |= transcription_state(row)
    if row.state == State.REFUSED:
        refusal = refusal_of(row)
        state["error"] = {"code": refusal.code, "message": refusal.message}
    return state


def clean_name(value: object) -> str:
    """The name as it is shown: without folders, control characters and marks that turn the
    direction of the text. Raises BadRequest."""
    if not isinstance(value, str):
        raise BadRequest("“name” must be a text.")
    last = re.split(r"[/\\]", value)[-1]
    kept = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    name = " ".join(kept.split()).strip(". ") or gettext("File")
    if len(name) <= MAX_NAME_CHARS:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        return name[:MAX_NAME_CHARS]
    return f"{stem[: MAX_NAME_CHARS - len(ending) - 1]}.{ending}"


def write_part(row: StoredFile, rendition: str, number: int, data: bytes) -> None:
    """Store the bytes of one part. Raises BadRequest if they are too few or too many."""
    size = part_size(row, rendition, number)
    if len(data) != size:
        raise BadRequest(f"Part {number} of this file has {size} bytes.")
    objects.write_part(row.id, rendition, number, data)
