"""Going down into the dates of a list of the admin."""

from datetime import datetime
from typing import Any

from django import template
from django.db.models import Max, Min

from billing.pages.periods import DAY, Period, period_of

register = template.Library()
PARTS = ("year", "month", "day")


@register.inclusion_tag("admin/billing/periods.html")
def periods(cl: Any) -> dict[str, Any]:
    """Years, months or days from the first row to the last that the list has.

    Django's own has only those in which there is something, for which it reads every row, on SQLite
    in Python; this asks for the two ends.
    """
    name = cl.date_hierarchy

    def link(period: Period) -> str:
        values = dict(zip(PARTS, map(int, filter(None, period.name.split("-"))), strict=False))
        query: str = cl.get_query_string(
            {f"{name}__{part}": value for part, value in values.items()}, [f"{name}__"]
        )
        return query

    asked = [cl.params.get(f"{name}__{part}") for part in PARTS]
    period = _period(asked)
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


def _period(asked: list[Any]) -> Period:
    """A list that is asked for a month of no year, or the like, is of all dates."""
    given = [str(value).zfill(2) for value in asked if value is not None]
    return Period() if asked[: len(given)].count(None) else period_of("-".join(given))


def _parts(period: Period, first: datetime, last: datetime) -> list[Period]:
    """Where there is one, those in it."""
    parts = period.parts(first, last)
    return _parts(parts[0], first, last) if len(parts) == 1 and parts[0].depth < DAY else parts
