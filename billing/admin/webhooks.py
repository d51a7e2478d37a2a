"""The admin's page about the calls of Stripe's webhook: their log, by date, with totals, as CSV.

What is asked for: `period` (a year, month or day of UTC: "2026", "2026-11", "2026-11-30"), `type`
and `text`; the totals and the CSV are of all that these leave, whatever page is shown.
"""

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from billing.admin.lists import may_export, rows_of
from billing.admin.search import STRIPE_NAMES
from billing.pages.csv_files import CsvResponse, csv_response, moment, usd, words
from billing.pages.periods import DAY, Period, period_of
from billing.payments import webhook_calls
from billing.payments.stripe_webhooks import STREAM
from billing.payments.webhook_calls import Call
from streams.admin import log_context
from streams.browse import open_client, spans_with_entries, time_range
from streams.errors import LogUnavailableError

logger = logging.getLogger(__name__)

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
    shown["parts"] = [
        (_link(part, filters), part.short if part.wider == period else part.title, part.title)
        for part in parts
    ]
    if shown["asked"]["text"].startswith(STRIPE_NAMES):
        shown["top_ups"] = rows_of("topup", shown["asked"]["text"], gettext("Its top-up"))
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


def _parts(period: Period) -> list[Period]:
    """The next smaller periods in which there were calls; where there is one, those in it."""
    with open_client() as client:
        written = time_range(client, settings.STREAMS_PREFIX, STREAM)
        if written is None:
            return []
        parts = period.parts(*written)
        spans = spans_with_entries(
            client, settings.STREAMS_PREFIX, STREAM, [one.span for one in parts]
        )
    found = [one for one in parts if one.span in spans]
    return _parts(found[0]) if len(found) == 1 and found[0].depth < DAY else found


def _link(period: Period, filters: dict[str, str]) -> str:
    kept = {"period": period.name} if period.name else {}
    return _url("admin:billing_books_webhooks", filters | kept)


def _url(name: str, query: dict[str, str]) -> str:
    return reverse(name) + (f"?{urlencode(query)}" if query else "")
