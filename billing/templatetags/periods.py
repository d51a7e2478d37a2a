"""Date drill-down for the admin's lists."""

from datetime import datetime
from typing import Any

from django import template
from django.db.models import Max, Min

from billing.pages.periods import DAY, Period, period_of

register = template.Library()
PARTS = ("year", "month", "day")


@register.inclusion_tag("admin/billing/periods.html")
def periods(cl: Any) -> dict[str, Any]:
    """Links to the years, months or days between the first and the last row of the list.

    Django's own date hierarchy lists only periods that have rows, and reads every row for it, on
    SQLite in Python. This queries the two ends.
    """
    name = cl.date_hierarchy

    def link(period: Period) -> str:
        values = dict(zip(PARTS, map(int, filter(None, period.name.split("-"))), strict=False))
        query: str = cl.get_query_string(
            {f"{name}__{part}": value for part, value in values.items()}, [f"{name}__"]
        )
        return query

    requested = [cl.params.get(f"{name}__{part}") for part in PARTS]
    period = _period(requested)
    ends = cl.queryset.order_by().aggregate(first=Min(name), last=Max(name))
    parts = _parts(period, ends["first"], ends["last"]) if ends["first"] else []
    return {
        "period": period,
        "back": (link(period.wider), period.wider.title) if period.name else None,
        "parts": [
            (link(part), part.short if part.wider == period else part.title, part.title)
            for part in parts
        ],
    }


def _period(requested: list[Any]) -> Period:
    """The requested period. A request that skips a part, such as a month without a year, means all
    dates."""
    given = [str(value).zfill(2) for value in requested if value is not None]
    return Period() if requested[: len(given)].count(None) else period_of("-".join(given))


def _parts(period: Period, first: datetime, last: datetime) -> list[Period]:
    """The parts of a period; a single part is replaced by its own parts."""
    parts = period.parts(first, last)
    return _parts(parts[0], first, last) if len(parts) == 1 and parts[0].depth < DAY else parts
