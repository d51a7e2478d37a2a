"""Pages of a log for people, read synchronously and in both directions."""

from dataclasses import dataclass
from typing import Any

import redis

from .entries import Entry, from_log, to_entry
from .keys import stream_keys, valid_cursor, valid_name

PAGE_ENTRIES = 50
# A filter that hardly matches must not read the whole log for one page.
MAX_SEARCHED = 5_000
STEP_ENTRIES = 500
CHATS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class LogPage:
    """Newest first.

    older, newer   ids to go on from, each "" where there is nothing more
    chats, types   what was met on this page, to filter by
    searched_only  the search stopped after MAX_SEARCHED entries; going on continues it
    """

    entries: list[Entry]
    older: str
    newer: str
    chats: list[str]
    types: list[str]
    length: int
    searched_only: int


def log_page(
    client: "redis.Redis",
    prefix: str,
    stream: str,
    *,
    chat: str = "",
    type: str = "",
    text: str = "",
    after: str = "",
    before: str = "",
) -> LogPage:
    """The entries before `before`, or after `after`, or else the newest.

    Only those of `chat`, of `type` and with `text` in their data, as far as these are given.
    """
    key = stream_keys(prefix, stream).log
    if chat:
        valid_name(chat)
    forward = bool(after)
    needle = text.encode()
    place = valid_cursor(after or before or None)
    length = int(client.xlen(key))
    found: list[Entry] = []
    chats: dict[str, None] = {}
    types: dict[str, None] = {}
    searched, more, position = 0, True, place if (after or before) else ""
    while more and len(found) < PAGE_ENTRIES and searched < MAX_SEARCHED:
        step = _step(client, key, position, forward)
        more = len(step) == STEP_ENTRIES
        for entry in step:
            searched += 1
            position = entry.id
            if len(chats) < CHATS_SHOWN:
                chats[entry.chat] = None
            types[entry.type] = None
            if chat in ("", entry.chat) and type in ("", entry.type) and needle in entry.data:
                found.append(entry)
                if len(found) == PAGE_ENTRIES:
                    more = more or entry is not step[-1]
                    break
    page = found[::-1] if forward else found
    return LogPage(
        entries=page,
        older=_older(page, position, place, forward, more),
        newer=_newer(page, position, place, forward, more, bool(before)),
        chats=sorted(chats),
        types=sorted(types),
        length=length,
        searched_only=searched if more and len(found) < PAGE_ENTRIES else 0,
    )


def _step(client: "redis.Redis", key: str, position: str, forward: bool) -> list[Entry]:
    if forward:
        rows: Any = client.xrange(key, min=f"({position}", count=STEP_ENTRIES)
    else:
        rows = client.xrevrange(key, max=f"({position}" if position else "+", count=STEP_ENTRIES)
    # redis-py makes a dict of an entry's fields, in their order.
    flat = [
        [entry_id, [word for pair in fields.items() for word in pair]] for entry_id, fields in rows
    ]
    return [to_entry(raw) for raw in from_log(flat)]


def _older(page: list[Entry], position: str, place: str, forward: bool, more: bool) -> str:
    if forward:
        # Reached from an older page, unless this is the very first.
        if place == "0-0":
            return ""
        return page[-1].id if page else position
    return position if more else ""


def _newer(
    page: list[Entry], position: str, place: str, forward: bool, more: bool, has_before: bool
) -> str:
    if forward:
        return position if more else ""
    if not has_before:
        return ""
    return page[0].id if page else place
