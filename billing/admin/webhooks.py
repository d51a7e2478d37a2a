"""The admin's page of Stripe's webhook calls: the log with filters, totals and a CSV download.

Query parameters: `period` (a year, month or day of UTC: "2026", "2026-11", "2026-11-30"), `type`
and `text`. Totals and CSV have all calls that pass these filters, not only those of the page.
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
from billing.admin.search import STRIPE_ID_PREFIXES
from billing.pages.csv_files import CsvResponse, csv_response, escape_formula, iso_time, usd
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
    period_query = {"period": period.name} if period.name else {}
    context = log_context(STREAM, request.GET, period.span, period_query)
    context |= {"period": period, "may_export": may_export(request)}
    if context.get("unavailable"):
        return context
    filters = {name: context["asked"][name] for name in ("type", "text") if context["asked"][name]}
    try:
        context["totals"] = webhook_calls.totals(period.span, **filters)
        parts = _parts(period)
    except LogUnavailableError:
        logger.exception("could not sum up the webhook calls")
        return context | {"unavailable": True}
    context["csv_url"] = _url("admin:billing_books_webhooks_csv", filters | period_query)
    context["parts"] = [
        (_link(part, filters), part.short if part.wider == period else part.title, part.title)
        for part in parts
    ]
    if context["asked"]["text"].startswith(STRIPE_ID_PREFIXES):
        context["top_ups"] = rows_of("topup", context["asked"]["text"], gettext("The top-up"))
    if period.name:
        context["wider"] = (_link(period.wider, filters), period.wider.title)
    return context


def csv(request: HttpRequest) -> CsvResponse:
    """A row for each call, newest first."""
    period = period_of(request.GET.get("period", ""))
    rows = _rows(period, request.GET.get("type", ""), request.GET.get("text", ""))
    name = "-".join(filter(None, ["holdfast-webhook-calls", period.name]))
    header = ["at", "outcome", "detail", "ended_at", "event_type", "booked_usd", *FACTS]
    return csv_response(name, header, rows)


def _rows(period: Period, type: str, text: str) -> Iterator[list[object]]:
    try:
        yield from map(_row, webhook_calls.calls(period.span, type, text))
    except LogUnavailableError as error:
        raise Http404("The log cannot be read now.") from error


def _row(call: Call) -> list[object]:
    return [
        iso_time(call.at),
        call.kind.partition(".")[2],
        escape_formula(call.detail),
        iso_time(call.ended_at) if call.ended_at else "",
        escape_formula(call.event_type),
        usd(call.booked_micro_usd),
        *(_cell(call.facts.get(name)) for name in FACTS),
    ]


def _cell(value: object) -> object:
    return escape_formula(value) if isinstance(value, str) else "" if value is None else value


def _parts(period: Period) -> list[Period]:
    """The next smaller periods with calls. A single period is replaced by the parts of it."""
    with open_client() as client:
        written = time_range(client, settings.STREAMS_PREFIX, STREAM)
        if written is None:
            return []
        parts = period.parts(*written)
        spans = spans_with_entries(
            client, settings.STREAMS_PREFIX, STREAM, [part.span for part in parts]
        )
    parts = [part for part in parts if part.span in spans]
    return _parts(parts[0]) if len(parts) == 1 and parts[0].depth < DAY else parts


def _link(period: Period, filters: dict[str, str]) -> str:
    period_query = {"period": period.name} if period.name else {}
    return _url("admin:billing_books_webhooks", filters | period_query)


def _url(name: str, query: dict[str, str]) -> str:
    return reverse(name) + (f"?{urlencode(query)}" if query else "")
