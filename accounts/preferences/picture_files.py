"""The files of pictures: two sizes in Django's default storage, in one folder for each person.

The name of a picture is random and never reused, so a URL always returns the same bytes and cannot
be guessed. Files are written before a row refers to them, and removed once no row does. Files that
a crash leaves behind are removed with the person.
"""

import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.urls import reverse

from accounts.models import Preferences, User
from accounts.personal_data_registry import ExportFile, PersonalData

logger = logging.getLogger(__name__)

CONTENT_TYPE = "image/webp"
SIZES = (256, 64)  # pixels, square


@dataclass(frozen=True, slots=True)
class Picture:
    """`files` maps sizes (pixels) to WebP files."""

    files: dict[int, bytes]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.files.values()))


def save(person: User, picture: Picture) -> str:
    """Store the files; returns the new name of the picture. Sync."""
    name = uuid.uuid4().hex
    try:
        for size, data in picture.files.items():
            default_storage.save(_path(person, name, size), ContentFile(data))
    except BaseException:
        delete(person, name)
        raise
    return name


def delete(person: User, name: str) -> None:
    """Delete the files. Never raises: remaining files are removed with the person. Sync."""
    if not name:
        return
    for size in SIZES:
        try:
            default_storage.delete(_path(person, name, size))
        except Exception:
            logger.exception("a picture of %s could not be deleted", person.id)


def read(person: User, name: str, size: int) -> bytes | None:
    """The file of one size, or None if it does not exist (any more). Sync."""
    try:
        with default_storage.open(_path(person, name, size)) as file:
            data: bytes = file.read()
            return data
    except FileNotFoundError:
        return None


def urls(name: str) -> dict[str, str] | None:
    """{"256": URL, "64": URL}, by size in pixels; None without a picture."""
    if not name:
        return None
    return {str(size): reverse("accounts:picture", args=[name, size]) for size in SIZES}


def _path(person: User, name: str, size: int) -> str:
    return f"{_folder(person)}/{name}-{size}.webp"


def _folder(person: User) -> str:
    return f"pictures/{person.id.hex}"


# Personal data


def _erase_folder(person: User) -> None:
    folder = _folder(person)
    try:
        _, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        default_storage.delete(f"{folder}/{name}")
    default_storage.delete(folder)


async def _erase(person: User) -> None:
    await sync_to_async(_erase_folder)(person)


async def _hand_over(guest: User, account: User, last: bool) -> None:
    """Does nothing: an account keeps its own picture and settings."""


def _in_use(since: datetime) -> QuerySet[Any]:
    return User.objects.none().values("id")


async def _export(person: User) -> AsyncIterator[ExportFile]:
    row = await Preferences.objects.filter(person=person).afirst()
    name = row.picture if row else ""
    if name and (data := await sync_to_async(read)(person, name, SIZES[0])) is not None:
        yield ExportFile("picture.webp", _one_chunk(data))


async def _one_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


personal_data = PersonalData("pictures", _hand_over, _erase, _in_use, _export)
