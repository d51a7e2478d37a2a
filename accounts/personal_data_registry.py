"""What spans the apps: things the apps above keep of a person, which must be reached when the
person joins an account or leaves. Each app registers itself when it starts; nothing is imported
upwards.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from accounts.models import User


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of somebody's archive. `path` is below the archive's folder, made of safe names
    (accounts/personal_data/file_names.py); `parts` counts what of `export_parts` is complete with
    this file."""

    path: str
    chunks: AsyncIterator[bytes]
    parts: int = 0


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What one app keeps of a person. Everything here may be repeated after a crash.

    hand_over  (from, to, last) give all of it to another person; `last` asks for what came late,
               from requests that had begun before the first time
    erase      (person) remove what the database does not remove with the row
    in_use     (since) ids of people who used it since then, or for whom something is running now
    export        (person) the files for the archive of everything that is theirs; each is read
                  to its end before the next is asked for
    export_parts  (person) how many parts that will be, for the progress
    """

    name: str
    hand_over: Callable[[User, User, bool], Awaitable[None]]
    erase: Callable[[User], Awaitable[None]]
    in_use: Callable[[datetime], QuerySet[Any]]
    export: Callable[[User], AsyncIterator[ExportFile]] | None = None
    export_parts: Callable[[User], Awaitable[int]] | None = None


_registered: dict[str, PersonalData] = {}
# Gives the models that a person may choose from, as (id, name), best first.
model_choices: list[Callable[[User], Awaitable[list[tuple[str, str]]]]] = []
# Told that a guest is to be joined to an account: somebody should see to it at once.
on_guest_join: list[Callable[[], None]] = []
# Told that a worker is to look at somebody's provider key: accounts/provider_keys/recheck.py.
on_key_check_wanted: list[Callable[[], None]] = []


def register(personal_data: PersonalData) -> None:
    _registered[personal_data.name] = personal_data


def registered() -> list[PersonalData]:
    return list(_registered.values())
