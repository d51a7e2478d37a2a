"""The admin's page about the calls of Stripe's webhook: their log, by date, with totals, as CSV.

What is asked for: `period` (a year, month or day of UTC: "2026", "2026-11", "2026-11-30"), `type`
and `text`; the totals and the CSV are of all that these leave, whatever page is shown.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext

from billing import webhook_calls
from billing.admin_lists import may_export
from billing.csv_files import CsvResponse, csv_response, moment, usd, words
from billing.stripe_webhooks import STREAM
from billing.webhook_calls import Call
from streams.admin import log_context
from streams.browse import ALWAYS, Span, ends, filled, reading
from streams.errors import LogUnavailableError

logger = logging.getLogger(__name__)

# A year, a month, a day: how their names are written and read.
FORMATS = ("%Y", "%Y-%m", "%Y-%m-%d")
TITLES = ("Y", "F Y", "j F Y")
FACTS = (
    "event",
    "object_kind",
    "object",
    "payment_intent",
    "livemode",
    "address",
    "bytes",
    "sha256",
)


@dataclass(frozen=True, slots=True)
class Period:
    """A year, a month or a day of UTC, with its `depth` in FORMATS; -1 is all time."""

    span: Span = ALWAYS
    depth: int = -1

    @property
    def name(self) -> str:
        return self.span.first.strftime(FORMATS[self.depth]) if self.span.first else ""

    @property
    def title(self) -> str:
        return (
            date_format(self.span.first, TITLES[self.depth])
            if self.span.first
            else gettext("All dates")
        )

    @property
    def wider(self) -> "Period":
        return _period(self.span.first, self.depth - 1) if self.span.first else self


def page(request: HttpRequest) -> dict[str, Any]:
    period = period_of(request.GET.get("period", ""))
    kept = {"period": period.name} if period.name else {}
    shown = log_context(STREAM, request.GET, period.span, kept)
    shown |= {"period": period, "may_export": may_export(request)}
    if shown.get("unavailable"):
        return shown
    filters = {name: shown["asked"][name] for name in ("type", "text") if shown["asked"][name]}
    try:
        shown["totals"] = webhook_calls.totals(period.span, **filters)
        parts = _parts(period)
    except LogUnavailableError:
        logger.exception("The calls of the webhook could not be added up")
        return shown | {"unavailable": True}
    shown["csv_url"] = _url("admin:billing_books_webhooks_csv", filters | kept)
    shown["parts"] = [(_link(part, filters), part.title) for part in parts]
    if period.name:
        shown["wider"] = (_link(period.wider, filters), period.wider.title)
    return shown


def csv(request: HttpRequest) -> CsvResponse:
    """A row for each call, newest first."""
    period = period_of(request.GET.get("period", ""))
    found = _rows(period, request.GET.get("type", ""), request.GET.get("text", ""))
    name = "-".join(filter(None, ["holdfast-webhook-calls", period.name]))
    header = ["at", "outcome", "detail", "ended_at", "event_type", "booked_usd", *FACTS]
    return csv_response(name, header, found)


def period_of(text: str) -> Period:
    """What cannot be is all time, as no period is."""
    for depth, form in enumerate(FORMATS):
        try:
            began = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return _period(began, depth) if 2000 <= began.year < 9999 else Period()
    return Period()


def _rows(period: Period, type: str, text: str) -> Iterator[list[object]]:
    try:
        yield from map(_row, webhook_calls.calls(period.span, type, text))
    except LogUnavailableError as error:
        raise Http404("The log cannot be read now.") from error


def _row(call: Call) -> list[object]:
    return [
        moment(call.at),
        call.kind.partition(".")[2],
        words(call.detail),
        moment(call.ended_at) if call.ended_at else "",
        words(call.event_type),
        usd(call.booked_micro_usd),
        *(_cell(call.facts.get(name)) for name in FACTS),
    ]


def _cell(value: object) -> object:
    return words(value) if isinstance(value, str) else "" if value is None else value


def _period(moment: datetime, depth: int) -> Period:
    if depth < 0:
        return Period()
    first = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if depth < 2:
        first = first.replace(day=1)
    if depth < 1:
        first = first.replace(month=1)
    return Period(Span(first, _next(first, depth)), depth)


def _next(first: datetime, depth: int) -> datetime:
    if depth == 2:
        return first + timedelta(days=1)
    # Longer than any of them; brought back to the first of its month, or of January.
    later = first + timedelta(days=32 if depth == 1 else 367)
    return later.replace(day=1) if depth == 1 else later.replace(month=1, day=1)


def _parts(period: Period) -> list[Period]:
    """The next smaller periods in which there were calls; where there is one, those in it."""
    if period.depth == len(FORMATS) - 1:
        return []
    with reading() as client:
        written = ends(client, settings.STREAMS_PREFIX, STREAM)
        if written is None:
            return []
        first = max(written[0], period.span.first or written[0])
        end = min(written[1], period.span.end or written[1])
        part, parts = _period(first, period.depth + 1), []
        while part.span.first and part.span.end and part.span.first <= end:
            parts.append(part)
            part = _period(part.span.end, period.depth + 1)
        spans = filled(client, settings.STREAMS_PREFIX, STREAM, [one.span for one in parts])
    found = [one for one in parts if one.span in spans]
    return _parts(found[0]) if len(found) == 1 and found[0].depth < 2 else found


def _link(period: Period, filters: dict[str, str]) -> str:
    kept = {"period": period.name} if period.name else {}
    return _url("admin:billing_books_webhooks", filters | kept)


def _url(name: str, query: dict[str, str]) -> str:
    return reverse(name) + (f"?{urlencode(query)}" if query else "")
