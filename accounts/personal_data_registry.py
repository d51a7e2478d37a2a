"""The registry of personal data and of handlers for events of accounts.

accounts imports no other app. So each app registers when it starts, and accounts calls it when a
guest joins an account, when a person exports their data, and when they leave.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from accounts.models import User


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export. `path` is relative to the archive's folder and made of safe names
    (accounts/personal_data/file_names.py); `parts` is the number of `export_parts` that this file
    completes."""

    path: str
    chunks: AsyncIterator[bytes]
    parts: int = 0


@dataclass(frozen=True, slots=True)
class PersonalData:
    """The handlers of one app for its personal data. After a crash any call may be repeated.

    hand_over     (guest, account, last) moves everything to the account; the second call, with
                  `last`, moves data added by requests that had begun before the first call
    erase         (person) removes data that the database does not remove with the person's row
    in_use        (since) selects the ids of people who have used the app since then, or for whom
                  something is running now
    export        (person) yields the files of an export; each is read to its end before the next
    export_parts  (person) counts the parts of an export, for the progress
    """

    name: str
    hand_over: Callable[[User, User, bool], Awaitable[None]]
    erase: Callable[[User], Awaitable[None]]
    in_use: Callable[[datetime], QuerySet[Any]]
    export: Callable[[User], AsyncIterator[ExportFile]] | None = None
    export_parts: Callable[[User], Awaitable[int]] | None = None


_registered: dict[str, PersonalData] = {}
# Each returns models that a person may choose, as (id, name), best first.
model_choices: list[Callable[[User], Awaitable[list[tuple[str, str]]]]] = []


def register(personal_data: PersonalData) -> None:
    _registered[personal_data.name] = personal_data


def registered() -> list[PersonalData]:
    """All registered handlers, in the order of registration."""
    return list(_registered.values())
