"""Periods for date drill-down: years, months and days of UTC. Pure.

A period's name is "2026", "2026-11" or "2026-11-30".
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext

from streams.browse import ALWAYS, Span

# By depth: formats of the names, and of the titles for people.
FORMATS = ("%Y", "%Y-%m", "%Y-%m-%d")
TITLES = ("Y", "F Y", "j F Y")
SHORT = ("Y", "F", "j")
DAY = len(FORMATS) - 1


@dataclass(frozen=True, slots=True)
class Period:
    """A year, month or day. `depth` is its index in FORMATS; -1 is all time."""

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
    def short(self) -> str:
        """Title within the wider period: "November" within 2026."""
        return date_format(self.span.first, SHORT[self.depth]) if self.span.first else ""

    @property
    def wider(self) -> "Period":
        return period_at(self.span.first, self.depth - 1) if self.span.first else self

    def parts(self, first: datetime, last: datetime) -> list["Period"]:
        """The next smaller periods, from the one containing `first` to that containing `last`."""
        if self.depth == DAY:
            return []
        first = max(first, self.span.first or first)
        last = min(last, self.span.end - timedelta.resolution if self.span.end else last)
        part, parts = period_at(first, self.depth + 1), []
        while part.span.first and part.span.end and part.span.first <= last:
            parts.append(part)
            part = period_at(part.span.end, self.depth + 1)
        return parts


def period_of(text: str) -> Period:
    """The period with this name; all time if there is none."""
    for depth, form in enumerate(FORMATS):
        try:
            first = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return period_at(first, depth) if 2000 <= first.year < 9999 else Period()
    return Period()


def period_at(moment: datetime, depth: int) -> Period:
    """The period of this depth that contains the moment."""
    if depth < 0:
        return Period()
    first = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if depth < 2:
        first = first.replace(day=1)
    if depth < 1:
        first = first.replace(month=1)
    return Period(Span(first, _next(first, depth)), depth)


def _next(first: datetime, depth: int) -> datetime:
    if depth == DAY:
        return first + timedelta(days=1)
    # Step past the end of the longest period, then go back to its first day.
    later = first + timedelta(days=32 if depth == 1 else 367)
    return later.replace(day=1) if depth == 1 else later.replace(month=1, day=1)
