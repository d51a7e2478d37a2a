"""Files in a folder, as durable as the log: the default storage (STORAGES).

Django's own storage syncs nothing to disk, and saves under another name if the name exists, so that
a repeated step after a crash would leave a stray file. Here a file is written beside its name,
synced, and renamed: after `save` it survives a power cut, and a reader sees all of it or nothing.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.storage import FileSystemStorage

# What a crash leaves of a file that was being written ends like this.
UNFINISHED = ".unfinished"


class FolderStorage(FileSystemStorage):
    """`save` overwrites, and returns the name that it was given."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        target = Path(self.path(name))
        _make_folder(target.parent)
        handle, temporary = tempfile.mkstemp(suffix=UNFINISHED, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
        _sync_folder(target.parent)
        return name.replace("\\", "/")

    def open_range(self, name: str, first: int, size: int | None) -> IO[bytes]:
        """A file that is read from the byte `first` on. The reader stops after `size` bytes."""
        file: IO[bytes] = self.open(name)
        file.seek(first)
        return file

    def folders_in(self, path: str) -> Iterator[str]:
        """The names of the folders in a folder, of which there may be millions."""
        with suppress(FileNotFoundError), os.scandir(self.path(path)) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield entry.name


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable in the one that holds it."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
