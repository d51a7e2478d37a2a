"""Pages of a log for the admin, read synchronously and in both directions."""

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
# How many entries the first read asks for, and how many any read may ask for. The next read asks
# for no more than fit into STEP_BYTES if the next entries are as long as the previous ones.
FIRST_ENTRIES, STEP_ENTRIES, STEP_BYTES = 16, 500, 1_000_000
CHATS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open time range [first, end). None means unbounded."""

    first: datetime | None = None
    end: datetime | None = None

    @property
    def lowest(self) -> str:
        """The lower bound for XRANGE."""
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

    older, newer   ids to continue from, each "" if there is nothing further
    chats, types   the chats and types that occur on this page, as filters
    searched_only  the number of entries after which the search stopped early; 0 if it did not
    """

    entries: list[Entry]
    older: str
    newer: str
    chats: list[str]
    types: list[str]
    length: int
    searched_only: int


@contextmanager
def open_client() -> "Iterator[redis.Redis]":
    """A Redis client for one page. Raises LogUnavailableError."""
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

    The filters are optional: entries of `chat`, of `type`, with `text` in their data, in `span`.
    """
    key = stream_keys(prefix, stream).log
    if chat:
        valid_name(chat)
    forward = bool(after)
    needle = text.encode()
    place = valid_cursor(after or before or None)
    length = int(client.xlen(key))
    matches: list[Entry] = []
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
            matches.append(entry)
        if len(matches) == PAGE_ENTRIES or searched == MAX_SEARCHED:
            break
        if size_bytes > MAX_SEARCHED_BYTES:
            break
    page = matches[::-1] if forward else matches
    return LogPage(
        entries=page,
        older=_older(page, position, place, forward, more),
        newer=_newer(page, position, place, forward, more, bool(before)),
        chats=sorted(chats),
        types=sorted(types),
        length=length,
        searched_only=searched if more and len(matches) < PAGE_ENTRIES else 0,
    )


def entries_newest_first(
    client: "redis.Redis", prefix: str, stream: str, span: Span = ALWAYS
) -> Iterator[Entry]:
    """All entries in `span`, newest first, read from Redis in steps."""
    key = stream_keys(prefix, stream).log
    for entry, _ in _walk(client, key, "", False, span):
        yield entry


def spans_with_entries(
    client: "redis.Redis", prefix: str, stream: str, spans: list[Span]
) -> list[Span]:
    """The spans that contain at least one entry."""
    key = stream_keys(prefix, stream).log
    pipe = client.pipeline(transaction=False)
    for span in spans:
        pipe.xrange(key, min=span.lowest, max=span.highest, count=1)
    return [span for span, rows in zip(spans, pipe.execute(), strict=True) if rows]


def time_range(client: "redis.Redis", prefix: str, stream: str) -> tuple[datetime, datetime] | None:
    """The times of the oldest and the newest entry; None if the log is empty."""
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
    """Yield (entry, whether more may follow) in one direction, starting after `position`."""
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
    """Read the next entries in one direction, starting after `position`."""
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
    # redis-py returns an entry's fields as a dict, in their order.
    flat = [
        [entry_id, [item for pair in fields.items() for item in pair]] for entry_id, fields in rows
    ]
    return [to_entry(raw) for raw in from_log(flat)]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _older(page: list[Entry], position: str, place: str, forward: bool, more: bool) -> str:
    if forward:
        # The user came from an older page, unless this is the first one.
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
