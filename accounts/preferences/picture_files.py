"""Where pictures are kept: two sizes in Django's default storage, in a folder of their person.

The name of a picture is random and never used again, so an address always gives the same bytes and
nobody finds one by guessing. Files are written before anything points to them and removed once
nothing does; what a crash leaves in between goes with the person.
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
    """`files`: WebP by size in pixels."""

    files: dict[int, bytes]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.files.values()))


def save(person: User, picture: Picture) -> str:
    """The name that it goes by. Sync."""
    name = uuid.uuid4().hex
    try:
        for size, data in picture.files.items():
            default_storage.save(_path(person, name, size), ContentFile(data))
    except BaseException:
        delete(person, name)
        raise
    return name


def delete(person: User, name: str) -> None:
    """Never fails: nothing points to the files, and they go with the person at the latest. Sync."""
    if not name:
        return
    for size in SIZES:
        try:
            default_storage.delete(_path(person, name, size))
        except Exception:
            logger.exception("a picture of %s could not be deleted", person.id)


def read(person: User, name: str, size: int) -> bytes | None:
    """None when it is not there (any more). Sync."""
    try:
        with default_storage.open(_path(person, name, size)) as file:
            data: bytes = file.read()
            return data
    except FileNotFoundError:
        return None


def urls(name: str) -> dict[str, str] | None:
    """{"256": address, "64": address}, by the size in pixels; None without a picture."""
    if not name:
        return None
    return {str(size): reverse("accounts:picture", args=[name, size]) for size in SIZES}


def _path(person: User, name: str, size: int) -> str:
    return f"{_folder(person)}/{name}-{size}.webp"


def _folder(person: User) -> str:
    return f"pictures/{person.id.hex}"


# Leaving


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
    """Nothing: an account keeps its own picture and settings."""


def _in_use(since: datetime) -> QuerySet[Any]:
    return User.objects.none().values("id")


async def _export(person: User) -> AsyncIterator[ExportFile]:
    row = await Preferences.objects.filter(person=person).afirst()
    name = row.picture if row else ""
    if name and (data := await sync_to_async(read)(person, name, SIZES[0])) is not None:
        yield ExportFile("picture.webp", _whole(data))


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


personal_data = PersonalData("pictures", _hand_over, _erase, _in_use, _export)
