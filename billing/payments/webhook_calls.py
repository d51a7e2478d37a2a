"""The calls of Stripe's webhook, put together from their log: each with what came of it. Sync.

A call is up to two entries, `webhook.received` and its outcome, or one, `webhook.refused`; see
billing/payments/stripe_webhooks.py. The log is read backwards, so what is kept in memory meanwhile
is the outcomes whose calls have not been met yet: those of calls that ran at the same time.
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
# The entry of an outcome, what it says, and whether it passes the filter.
Ended = tuple[Entry, dict[str, Any], bool]
# No call takes longer until its outcome is written down; later ones are of another call's crash.
LONGEST_CALL = timedelta(hours=1)
# What is added up for one page, two entries to a call. 100,000 calls take a second or two.
MAX_ENTRIES = 250_000


@dataclass(frozen=True, slots=True)
class Call:
    """`kind`: webhook.done, .failed, .refused or .pending (no outcome was written down, yet or at
    all). `detail` is the outcome's name or the code of what went wrong. `facts` is what was noted
    when it came in."""

    at: datetime
    kind: str
    detail: str
    event_type: str
    booked_micro_usd: int
    ended_at: datetime | None
    facts: dict[str, Any]


@dataclass(slots=True)
class OfType:
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
    """`outcomes` counts (kind, detail). `cut_at` is set when the log was too long to be added up:
    what is older than that is not in it."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    types: dict[str, OfType] = field(default_factory=dict)
    credited_micro_usd: int = 0
    taken_back_micro_usd: int = 0
    cut_at: datetime | None = None

    def add(self, call: Call) -> None:
        self.outcomes[call.kind, call.detail] += 1
        of_type = self.types.setdefault(call.event_type, OfType(call.event_type))
        of_type.kinds[call.kind] += 1
        of_type.booked_micro_usd += call.booked_micro_usd
        self.credited_micro_usd += max(0, call.booked_micro_usd)
        self.taken_back_micro_usd += max(0, -call.booked_micro_usd)

    def count(self, kind: str) -> int:
        return sum(number for (of, _), number in self.outcomes.items() if of == kind)

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
    def by_type(self) -> list[OfType]:
        return sorted(self.types.values(), key=lambda one: (-one.calls, one.event_type))


def totals(span: Span, type: str = "", text: str = "") -> Totals:
    """Over the calls in `span`; with `type` and `text` those of which an entry passes this filter,
    as on the page of entries. Raises LogUnavailableError."""
    found = Totals()

    def stop(at: datetime) -> None:
        found.cut_at = at

    for call in calls(span, type, text, at_most=MAX_ENTRIES, on_cut=stop):
        found.add(call)
    return found


def calls(
    span: Span,
    type: str = "",
    text: str = "",
    *,
    at_most: int | None = None,
    on_cut: Callable[[datetime], None] = lambda _: None,
) -> Iterator[Call]:
    """The calls that came in `span`, newest first, as the log is read.

    After `at_most` entries it ends, and `on_cut` is told the time of the last one.
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
    """Of the span, and after it as long as a call of the span may take."""
    later = Span(span.first, span.end and span.end + LONGEST_CALL)
    with open_client() as client:
        yield from entries_newest_first(client, settings.STREAMS_PREFIX, STREAM, later)


def _forget(outcomes: dict[str, Ended], entry: Entry) -> None:
    """Outcomes that were met so long ago that their calls are not in the log."""
    longest_ms = LONGEST_CALL // timedelta(milliseconds=1)
    while outcomes:
        name = next(iter(outcomes))
        if outcomes[name][0].ms - entry.ms <= longest_ms:
            return
        del outcomes[name]


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
