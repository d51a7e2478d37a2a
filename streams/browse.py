"""Pages of a log for people, read synchronously and in both directions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from django.conf import settings

from .cursors import order, valid_cursor
from .entries import Entry, from_log, to_entry
from .errors import LogUnavailableError
from .keys import stream_keys, valid_name

PAGE_ENTRIES = 50
# A filter that hardly matches must not read the whole log for one page.
MAX_SEARCHED = 5_000
MAX_SEARCHED_BYTES = 20_000_000
# What Redis is asked for at first and at most; no more than fits into STEP_BYTES, if the next
# entries are as long as those before.
FIRST_ENTRIES, STEP_ENTRIES, STEP_BYTES = 16, 500, 1_000_000
CHATS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Span:
    """What lies between two moments: `first` is part of it, `end` is not; None is without end."""

    first: datetime | None = None
    end: datetime | None = None

    @property
    def lowest(self) -> str:
        """For XRANGE."""
        return str(_ms(self.first)) if self.first else "-"

    @property
    def highest(self) -> str:
        return f"({_ms(self.end)}-0" if self.end else "+"

    def starts_after(self, position: str) -> bool:
        return self.first is not None and order(position)[0] < _ms(self.first)

    def ends_before(self, position: str) -> bool:
        return self.end is not None and order(position)[0] >= _ms(self.end)


ALWAYS = Span()


@dataclass(frozen=True, slots=True)
class LogPage:
    """Newest first.

    older, newer   ids to go on from, each "" where there is nothing more
    chats, types   what was met on this page, to filter by
    searched_only  the search stopped after so many entries; going on continues it
    """

    entries: list[Entry]
    older: str
    newer: str
    chats: list[str]
    types: list[str]
    length: int
    searched_only: int


@contextmanager
def reading() -> "Iterator[redis.Redis]":
    """A connection for as long as a page is made. Raises LogUnavailableError."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as client:
            yield client
    except redis.RedisError as error:
        raise LogUnavailableError("Redis does not answer") from error


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
    span: Span = ALWAYS,
) -> LogPage:
    """The entries before `before`, or after `after`, or else the newest.

    Only those of `chat`, of `type`, with `text` in their data and in `span`, as far as these are
    given.
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
    searched, size_bytes, more, position = 0, 0, False, place if (after or before) else ""
    for entry, is_more in _walk(client, key, position, forward, span):
        more = is_more
        searched, size_bytes, position = searched + 1, size_bytes + len(entry.data), entry.id
        if len(chats) < CHATS_SHOWN:
            chats[entry.chat] = None
        types[entry.type] = None
        if chat in ("", entry.chat) and type in ("", entry.type) and needle in entry.data:
            found.append(entry)
        if len(found) == PAGE_ENTRIES or searched == MAX_SEARCHED:
            break
        if size_bytes > MAX_SEARCHED_BYTES:
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


def entries_back(
    client: "redis.Redis", prefix: str, stream: str, span: Span = ALWAYS
) -> Iterator[Entry]:
    """All entries in `span`, newest first, read from Redis some at a time."""
    key = stream_keys(prefix, stream).log
    for entry, _ in _walk(client, key, "", False, span):
        yield entry


def filled(client: "redis.Redis", prefix: str, stream: str, spans: list[Span]) -> list[Span]:
    """Those of them in which there is an entry."""
    key = stream_keys(prefix, stream).log
    pipe = client.pipeline(transaction=False)
    for span in spans:
        pipe.xrange(key, min=span.lowest, max=span.highest, count=1)
    return [span for span, rows in zip(spans, pipe.execute(), strict=True) if rows]


def ends(client: "redis.Redis", prefix: str, stream: str) -> tuple[datetime, datetime] | None:
    """When the oldest and the newest entry were written; None of an empty log."""
    key = stream_keys(prefix, stream).log
    first: Any = client.xrange(key, count=1)
    last: Any = client.xrevrange(key, count=1)
    if not first or not last:
        return None
    oldest, newest = (
        datetime.fromtimestamp(order(rows[0][0])[0] / 1000, UTC) for rows in (first, last)
    )
    return oldest, newest


def _walk(
    client: "redis.Redis", key: str, position: str, forward: bool, span: Span
) -> Iterator[tuple[Entry, bool]]:
    """The entries from `position`, itself not included, in one direction; with each, whether there
    may be more."""
    count, more = FIRST_ENTRIES, True
    while more:
        step = _step(client, key, position, forward, span, count)
        more = len(step) == count
        for entry in step:
            yield entry, more or entry is not step[-1]
        if more:
            position = step[-1].id
            size_bytes = sum(len(entry.data) for entry in step)
            fitting = STEP_BYTES * len(step) // max(1, size_bytes)
            count = max(1, min(2 * count, fitting, STEP_ENTRIES))


def _step(
    client: "redis.Redis", key: str, position: str, forward: bool, span: Span, count: int
) -> list[Entry]:
    """The next entries from `position`, itself not included, in one direction."""
    lowest, highest = span.lowest, span.highest
    rows: Any
    if forward:
        if position and not span.starts_after(position):
            lowest = f"({position}"
        rows = client.xrange(key, min=lowest, max=highest, count=count)
    else:
        if position and not span.ends_before(position):
            highest = f"({position}"
        rows = client.xrevrange(key, max=highest, min=lowest, count=count)
    # redis-py makes a dict of an entry's fields, in their order.
    flat = [
        [entry_id, [word for pair in fields.items() for word in pair]] for entry_id, fields in rows
    ]
    return [to_entry(raw) for raw in from_log(flat)]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


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
