"""Registry of functions that look up chat titles, for statements.

The chat app registers one when it starts, so that billing does not import it.
"""

import uuid
from collections.abc import Callable, Iterable

Lookup = Callable[[uuid.UUID, Iterable[uuid.UUID]], dict[uuid.UUID, str]]

_lookups: list[Lookup] = []


def register(lookup: Lookup) -> None:
    """`lookup(person_id, chat_ids)` returns the titles of the chats that the person still has."""
    if lookup not in _lookups:
        _lookups.append(lookup)


def titles_of(person_id: uuid.UUID, chats: Iterable[uuid.UUID | None]) -> dict[uuid.UUID, str]:
    wanted = {chat for chat in chats if chat is not None}
    titles: dict[uuid.UUID, str] = {}
    for lookup in _lookups:
        titles |= lookup(person_id, wanted) if wanted else {}
    return titles
