"""Reads the calls of Stripe's webhook, with their outcomes, from their log. Sync.

A call has up to two entries, `webhook.received` and its outcome, or a single `webhook.refused`; see
billing/payments/stripe_webhooks.py. The log is read backwards, so memory holds only the outcomes
whose calls have not been read yet: those of calls that ran at the same time.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.conf import settings

from billing.payments.stripe_webhooks import STREAM
from streams.browse import Span, entries_newest_first, open_client
from streams.entries import Entry

RECEIVED, REFUSED, DONE, FAILED = (
    "webhook.received",
    "webhook.refused",
    "webhook.done",
    "webhook.failed",
)
PENDING = "webhook.pending"
# The entry of an outcome, its decoded data, and whether the entry passes the filter.
Ended = tuple[Entry, dict[str, Any], bool]
# No outcome is written later than this after its call.
LONGEST_CALL = timedelta(hours=1)
# Bounds the entries summed for one page, two per call. 100,000 calls take a second or two.
MAX_ENTRIES = 250_000


@dataclass(frozen=True, slots=True)
class Call:
    """`kind`: webhook.done, .failed, .refused or .pending (without an outcome, yet or for good).
    `detail` is the outcome's name or an error code. `facts` is the data of the first entry."""

    at: datetime
    kind: str
    detail: str
    event_type: str
    booked_micro_usd: int
    ended_at: datetime | None
    facts: dict[str, Any]


@dataclass(slots=True)
class TypeTotals:
    event_type: str
    kinds: Counter[str] = field(default_factory=Counter)
    booked_micro_usd: int = 0

    @property
    def calls(self) -> int:
        return self.kinds.total()

    def count(self, kind: str) -> int:
        return self.kinds[kind]

    done = property(lambda self: self.count(DONE))
    failed = property(lambda self: self.count(FAILED))
    pending = property(lambda self: self.count(PENDING))


@dataclass(slots=True)
class Totals:
    """`outcomes` counts (kind, detail). `cut_at` is set if the log was too long: entries of that
    time and older ones are not counted."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    types: dict[str, TypeTotals] = field(default_factory=dict)
    credited_micro_usd: int = 0
    taken_back_micro_usd: int = 0
    cut_at: datetime | None = None

    def add(self, call: Call) -> None:
        self.outcomes[call.kind, call.detail] += 1
        of_type = self.types.setdefault(call.event_type, TypeTotals(call.event_type))
        of_type.kinds[call.kind] += 1
        of_type.booked_micro_usd += call.booked_micro_usd
        self.credited_micro_usd += max(0, call.booked_micro_usd)
        self.taken_back_micro_usd += max(0, -call.booked_micro_usd)

    def count(self, kind: str) -> int:
        return sum(number for (of_kind, _), number in self.outcomes.items() if of_kind == kind)

    @property
    def calls(self) -> int:
        return self.outcomes.total()

    @property
    def accepted(self) -> int:
        return self.calls - self.count(REFUSED)

    @property
    def by_outcome(self) -> list[tuple[str, str, int]]:
        """(kind without its prefix, detail, number), most frequent first in each kind."""
        order = (DONE, FAILED, PENDING, REFUSED)
        rows = sorted(self.outcomes.items(), key=lambda row: (order.index(row[0][0]), -row[1]))
        return [(kind.partition(".")[2], detail, number) for (kind, detail), number in rows]

    @property
    def by_type(self) -> list[TypeTotals]:
        return sorted(self.types.values(), key=lambda row: (-row.calls, row.event_type))


def totals(span: Span, type: str = "", text: str = "") -> Totals:
    """Totals of the calls in `span`. With `type` and `text`, only calls with an entry that passes
    this filter, as on the page of entries. Raises LogUnavailableError."""
    sums = Totals()

    def stop(at: datetime) -> None:
        sums.cut_at = at

    for call in calls(span, type, text, at_most=MAX_ENTRIES, on_cut=stop):
        sums.add(call)
    return sums


def calls(
    span: Span,
    type: str = "",
    text: str = "",
    *,
    at_most: int | None = None,
    on_cut: Callable[[datetime], None] = lambda _: None,
) -> Iterator[Call]:
    """Yields the calls received in `span`, newest first, while reading the log.

    Ends after `at_most` entries, and passes the time of the next one to `on_cut`.
    """
    needle = text.encode()
    outcomes: dict[str, Ended] = {}
    for number, entry in enumerate(_entries(span)):
        if at_most is not None and number >= at_most:
            on_cut(_moment(entry))
            return
        _forget(outcomes, entry)
        passes = type in ("", entry.type) and needle in entry.data
        facts = orjson.loads(entry.data)
        if entry.type in (DONE, FAILED):
            outcomes[str(facts.get("call"))] = entry, facts, passes
            continue
        ended = outcomes.pop(str(facts.get("call")), None)
        if span.ends_before(entry.id) or not (passes or (ended and ended[2])):
            continue
        if entry.type in (RECEIVED, REFUSED):
            yield _call(entry, facts, ended)


def _entries(span: Span) -> Iterator[Entry]:
    """Entries of the span and of LONGEST_CALL after it, for the outcomes of its last calls."""
    later = Span(span.first, span.end and span.end + LONGEST_CALL)
    with open_client() as client:
        yield from entries_newest_first(client, settings.STREAMS_PREFIX, STREAM, later)


def _forget(outcomes: dict[str, Ended], entry: Entry) -> None:
    """Remove outcomes so much newer than `entry` that their calls cannot be in the log."""
    longest_ms = LONGEST_CALL // timedelta(milliseconds=1)
    while outcomes:
        call_id = next(iter(outcomes))
        if outcomes[call_id][0].ms - entry.ms <= longest_ms:
            return
        del outcomes[call_id]


def _call(entry: Entry, facts: dict[str, Any], ended: Ended | None) -> Call:
    kind, detail, booked = PENDING, "", 0
    if entry.type == REFUSED:
        kind, detail = REFUSED, str(facts.get("code") or "")
    elif ended:
        kind, outcome = ended[0].type, ended[1]
        detail = str(outcome.get("outcome") or outcome.get("code") or "")
        booked = int(outcome.get("booked_micro_usd") or 0)
    return Call(
        at=_moment(entry),
        kind=kind,
        detail=detail,
        event_type=str(facts.get("event_type") or ""),
        booked_micro_usd=booked,
        ended_at=_moment(ended[0]) if ended else None,
        facts=facts,
    )


def _moment(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.ms / 1000, UTC)
