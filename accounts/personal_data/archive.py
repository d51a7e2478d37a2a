"""A ZIP archive, written piece by piece to a temporary file without a name."""

import asyncio
import tempfile
import unicodedata
import zipfile
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from types import TracebackType
from typing import IO, Self

from django.conf import settings
from django.utils import timezone

# Chunks are gathered to this size before a thread compresses them, because a thread hop is costly.
PIECE_BYTES = 256_000


class Archive:
    """Use it with `async with`. It holds at most one piece of a file in memory."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._names: set[str] = set()
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The file has no name, so the kernel removes it however this process ends.
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=settings.DATA_DIR)  # noqa: SIM115
        self._zip = zipfile.ZipFile(self.file, "w", zipfile.ZIP_DEFLATED)

    async def add(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Write one file. Raises ValueError for a path that would leave the folder."""
        info = zipfile.ZipInfo(self._free_name(path), timezone.now().timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._zip.open(info, "w", force_zip64=True) as member:
            gathered, size = [], 0
            async for chunk in chunks:
                gathered.append(chunk)
                size += len(chunk)
                if size >= PIECE_BYTES:
                    await asyncio.to_thread(member.write, b"".join(gathered))
                    gathered, size = [], 0
            await asyncio.to_thread(member.write, b"".join(gathered))

    def finish(self) -> int:
        """Write the directory and go back to the start; returns the size in bytes. Sync."""
        self._zip.close()
        size = self.file.tell()
        self.file.seek(0)
        return size

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.fp = None  # Otherwise ZipFile.__del__ writes the directory.
        self.file.close()

    def _free_name(self, path: str) -> str:
        """The path in the archive, numbered if some file system would take it for another one."""
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in path or "\x00" in path:
            raise ValueError(f"{path!r} is not a path within the archive")
        name, number = str(parts), 1
        while _comparable(name) in self._names:
            number += 1
            name = str(parts.with_name(f"{parts.stem} ({number}){parts.suffix}"))
        self._names.add(_comparable(name))
        return f"{self._folder}/{name}"


def _comparable(name: str) -> str:
    return unicodedata.normalize("NFKD", name).casefold()
