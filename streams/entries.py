"""Events, which go into the log, and entries, batches and pages, which come out of it."""

import heapq
import json
from collections.abc import Iterable
from dataclasses import dataclass

from .cursors import entry_ms, order

# Roughly the bytes that an entry adds to a frame besides its data: its id, quotes and brackets.
ENTRY_BYTES = 40
# (id, chat, type, data, is part), as Redis returned them: most entries go to sockets undecoded.
Raw = tuple[bytes, bytes, bytes, bytes, bool]


@dataclass(frozen=True, slots=True)
class Event:
    """An event to append to the log.

    id       idempotency key: an event appended again is dropped, and the id of its first entry is
             returned. Remembered permanently; the id of a part is remembered for at least a minute
             and at least twice STREAMS_APPEND_TIMEOUT_MS.
    chat     routing key
    data     a JSON object, already encoded; the log never decodes it
    part_of  the whole (a reply) that this event is a part of (a batch of tokens)
    whole    what the chat's index stores instead of `data`: the finished event with its full text.
             Live followers receive `data`. Not allowed for parts.
    """

    id: str
    chat: str
    type: str
    data: bytes
    part_of: str | None = None
    whole: bytes | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in the log. `id` is also a cursor: `<ms since 1970>-<sequence>`."""

    id: str
    chat: str
    type: str
    data: bytes
    part: bool = False

    @property
    def ms(self) -> int:
        return entry_ms(self.id)


@dataclass(frozen=True, slots=True)
class Fence:
    """Only the writer with the highest token may append under `name`."""

    name: str
    token: int


class Batch:
    """Consecutive entries of one chat. All followers share it, so it must not be changed.

    cursor  the id to continue from after this batch
    live    True on exactly one batch of an iteration, which has no entries and chat "": the replay
            has ended, and everything after it is new
    """

    __slots__ = ("_entries", "_frame", "_watch_frame", "chat", "cursor", "live", "raws")

    def __init__(self, chat: str, raws: list[Raw], cursor: str, *, live: bool = False) -> None:
        self.chat = chat
        self.raws = raws
        self.cursor = cursor
        self.live = live
        self._entries: tuple[Entry, ...] | None = None
        self._frame: str | None = None
        self._watch_frame: str | None = None

    @property
    def size_bytes(self) -> int:
        return sum(len(raw[3]) for raw in self.raws) + len(self.raws) * ENTRY_BYTES

    def slices(self, max_bytes: int) -> "list[Batch]":
        """Split into batches of at most `max_bytes`; a larger entry forms a batch of its own."""
        if self.size_bytes <= max_bytes:
            return [self]
        runs: list[list[Raw]] = []
        room = 0
        for raw in self.raws:
            room -= len(raw[3]) + ENTRY_BYTES
            if room < 0:
                runs.append([])
                room = max_bytes - len(raw[3]) - ENTRY_BYTES
            runs[-1].append(raw)
        return [_batch(run) for run in runs]

    @property
    def entries(self) -> tuple[Entry, ...]:
        if self._entries is None:
            self._entries = tuple(map(to_entry, self.raws))
        return self._entries

    @property
    def frame(self) -> str:
        """JSON text {"chat": id, "entries": [[entry id, data], ...]}, built once."""
        if self._frame is None:
            rows = [b'["%s",%s]' % (raw[0], raw[3]) for raw in self.raws]
            self._frame = _frame(self.chat, rows)
        return self._frame

    @property
    def watch_frame(self) -> str:
        """The frame without parts, marked {"watch": true, ...}; "" if all entries are parts."""
        if self._watch_frame is None:
            rows = [b'["%s",%s]' % (raw[0], raw[3]) for raw in self.raws if not raw[4]]
            self._watch_frame = _frame(self.chat, rows, mark='"watch":true,') if rows else ""
        return self._watch_frame

    def after(self, position: tuple[int, int]) -> "Batch | None":
        """The entries after `position`: this batch, a shorter one, or None if there are none."""
        if order(self.raws[0][0]) > position:
            return self
        rest = [raw for raw in self.raws if order(raw[0]) > position]
        return Batch(self.chat, rest, self.cursor) if rest else None


def frame(chat: str, entries: Iterable[Entry], *, watch: bool = False) -> str:
    """The frame of entries that were read, not followed. See Batch.frame."""
    rows = [b'["%s",%s]' % (entry.id.encode(), entry.data) for entry in entries]
    return _frame(chat, rows, mark='"watch":true,' if watch else "")


def _frame(chat: str, rows: list[bytes], mark: str = "") -> str:
    """Join the stored JSON unchanged: nothing is decoded on the way to a socket."""
    return f'{{{mark}"chat":{json.dumps(chat)},"entries":[{b",".join(rows).decode()}]}}'


def to_entry(raw: Raw) -> Entry:
    return Entry(raw[0].decode(), raw[1].decode(), raw[2].decode(), raw[3], raw[4])


def from_log(rows: Iterable[list[bytes | list[bytes]]]) -> list[Raw]:
    """Convert rows of XRANGE on a log. Fields have a fixed order: c, t, d and, on a part, p."""
    return [(row[0], f[1], f[3], f[5], len(f) > 6) for row in rows if (f := row[1])]  # type: ignore[misc]


def from_index(chat: bytes, rows: Iterable[list[bytes | list[bytes]]]) -> list[Raw]:
    """Convert rows of XRANGE on a chat's index: t, d and, on a part, p."""
    return [(row[0], chat, f[1], f[3], len(f) > 4) for row in rows if (f := row[1])]  # type: ignore[misc]


def batches(raws: list[Raw], *, parts: bool = True) -> tuple[Batch, ...]:
    """Group entries into runs of the same chat, which preserves the order of the log.

    One batch for each chat would be smaller, but wrong: a reader that stops between two batches
    would lose those entries of the second that are older than the last entry of the first.
    """
    grouped: list[Batch] = []
    run: list[Raw] = []
    for raw in raws:
        if raw[4] and not parts:
            continue
        if run and run[0][1] != raw[1]:
            grouped.append(_batch(run))
            run = []
        run.append(raw)
    if run:
        grouped.append(_batch(run))
    return tuple(grouped)


def _batch(run: list[Raw]) -> Batch:
    return Batch(run[0][1].decode(), run, run[-1][0].decode())


class Page:
    """One read of the end of a stream, batched once for each way of following it."""

    __slots__ = ("_by_chat", "_cut", "_raws", "_whole", "size_bytes")

    def __init__(self, raws: list[Raw]) -> None:
        self._raws = raws
        self._cut: dict[tuple[bytes | None, str], tuple[Batch, ...]] = {}
        self._by_chat: dict[bytes, list[Raw]] = {}
        self._whole = [raw for raw in raws if not raw[4]]
        for raw in raws:
            self._by_chat.setdefault(raw[1], []).append(raw)
        self.size_bytes = sum(len(raw[3]) for raw in raws) + len(raws) * ENTRY_BYTES

    def of_chat(self, chat: bytes | None, parts: bool) -> tuple[Batch, ...]:
        """The batches of one chat; of all chats if None."""
        key = (chat, "parts" if parts else "whole")
        if key not in self._cut:
            raws = self._raws if chat is None else self._by_chat.get(chat, [])
            self._cut[key] = batches(raws, parts=parts)
        return self._cut[key]

    def focused(self, chat: bytes | None) -> tuple[Batch, ...]:
        """The batches of all chats, with the parts of one chat only."""
        if chat not in self._by_chat:
            return self.of_chat(None, parts=False)
        key = (chat, "focus")
        if key not in self._cut:
            parts = [raw for raw in self._by_chat[chat] if raw[4]]
            raws = heapq.merge(parts, self._whole, key=lambda raw: order(raw[0]))
            self._cut[key] = batches(list(raws))
        return self._cut[key]
