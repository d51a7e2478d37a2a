"""The bytes of files, in Django's default storage: `files/<file id>/<rendition>`.

Names of people, chats and files are in no key. Writing a key again replaces its content, so every
step may be repeated. All functions are sync and block.

renditions: "original", the uploaded bytes; "view", a picture for the page; "model", a picture for
            models; "text", the text of a document; "page-<n>", pages of a scanned document; "wav",
            sound as 16 kHz mono 16-bit WAV, which is uploaded as well; "speech-<n>-<random>", the
            frames of one sentence of an answer until all are read aloud
"""

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, cast

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage


class _FileStorage(Protocol):
    """What the storages of files (config/) have beyond Django's."""

    def open_range(self, name: str, first: int, size: int | None) -> IO[bytes]: ...

    def folders_in(self, path: str) -> Iterator[str]: ...


_storage = cast(_FileStorage, default_storage)
FOLDER = "files"
ORIGINAL = "original"
WAV = "wav"
_PART = "part-"
CHUNK_BYTES = 256_000


def key_of(file_id: uuid.UUID, rendition: str) -> str:
    return f"{FOLDER}/{file_id}/{rendition}"


def write_part(file_id: uuid.UUID, rendition: str, number: int, data: bytes) -> None:
    default_storage.save(key_of(file_id, _part(rendition, number)), ContentFile(data))


def join_parts(file_id: uuid.UUID, rendition: str, count: int, target: Path) -> tuple[int, str]:
    """Write the parts one after another into a new file; returns its size in bytes and its SHA-256.
    Raises FileNotFoundError if a part is missing."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as joined:
        for number in range(count):
            with open_rendition(file_id, _part(rendition, number)) as part:
                for chunk in iter_chunks(part):
                    joined.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
    return size, digest.hexdigest()


def write_rendition(file_id: uuid.UUID, rendition: str, source: Path) -> None:
    with source.open("rb") as file:
        default_storage.save(key_of(file_id, rendition), File(file))


def write(file_id: uuid.UUID, rendition: str, data: bytes) -> None:
    default_storage.save(key_of(file_id, rendition), ContentFile(data))


def open_rendition(
    file_id: uuid.UUID, rendition: str, first: int = 0, size: int | None = None
) -> IO[bytes]:
    """The bytes from `first` on. With `size`, the caller reads no more than that, and a bucket
    sends no more. Raises FileNotFoundError."""
    return _storage.open_range(key_of(file_id, rendition), first, size)


def read_rendition(file_id: uuid.UUID, rendition: str) -> bytes:
    """Raises FileNotFoundError."""
    with open_rendition(file_id, rendition) as file:
        return file.read()


def size_of(file_id: uuid.UUID, rendition: str) -> int:
    """Bytes. Raises FileNotFoundError."""
    return default_storage.size(key_of(file_id, rendition))


def iter_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def erase_parts(file_id: uuid.UUID) -> None:
    """Remove all parts, and what a killed process has left half written."""
    for name in _names(file_id):
        if _PART in name or "." in name:  # No rendition has such a name.
            default_storage.delete(key_of(file_id, name))


def erase_part(file_id: uuid.UUID, rendition: str, number: int) -> None:
    default_storage.delete(key_of(file_id, _part(rendition, number)))


def erase(file_id: uuid.UUID) -> None:
    """Remove every object of a file, also those that a crash has left unfinished."""
    for name in _names(file_id):
        default_storage.delete(key_of(file_id, name))
    default_storage.delete(f"{FOLDER}/{file_id}")  # Nothing in a bucket, which has no folders.


def erase_except(file_id: uuid.UUID, rendition: str) -> None:
    """Remove every object of a file but one."""
    for name in _names(file_id):
        if name != rendition:
            default_storage.delete(key_of(file_id, name))


def stored_ids() -> Iterator[uuid.UUID]:
    """The ids of all files that have objects."""
    for folder in _storage.folders_in(FOLDER):
        try:
            yield uuid.UUID(folder)
        except ValueError:  # Not one of ours.
            continue


def _names(file_id: uuid.UUID) -> list[str]:
    """The names of all objects of a file."""
    try:
        return default_storage.listdir(f"{FOLDER}/{file_id}")[1]
    except FileNotFoundError:
        return []


def _part(rendition: str, number: int) -> str:
    """The key of an uploaded part of the original, or of the WAV."""
    part = f"{_PART}{number}"
    return part if rendition == ORIGINAL else f"{rendition}-{part}"
