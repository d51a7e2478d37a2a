"""Years, months and days of UTC, to go down into: "2026", "2026-11", "2026-11-30". Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext

from streams.browse import ALWAYS, Span

# How their names are written and read.
FORMATS = ("%Y", "%Y-%m", "%Y-%m-%d")
TITLES = ("Y", "F Y", "j F Y")
SHORT = ("Y", "F", "j")
DAY = len(FORMATS) - 1


@dataclass(frozen=True, slots=True)
class Period:
    """A year, a month or a day, with its `depth` in FORMATS; -1 is all time."""

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
        """Its name among the others of the next wider one."""
        return date_format(self.span.first, SHORT[self.depth]) if self.span.first else ""

    @property
    def wider(self) -> "Period":
        return period_at(self.span.first, self.depth - 1) if self.span.first else self

    def parts(self, first: datetime, last: datetime) -> list["Period"]:
        """The next smaller ones from the one with `first` to the one with `last`."""
        if self.depth == DAY:
            return []
        first = max(first, self.span.first or first)
        last = min(last, self.span.end - timedelta.resolution if self.span.end else last)
        part, found = period_at(first, self.depth + 1), []
        while part.span.first and part.span.end and part.span.first <= last:
            found.append(part)
            part = period_at(part.span.end, self.depth + 1)
        return found


def period_of(text: str) -> Period:
    """What cannot be is all time, as no period is."""
    for depth, form in enumerate(FORMATS):
        try:
            began = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return period_at(began, depth) if 2000 <= began.year < 9999 else Period()
    return Period()


def period_at(moment: datetime, depth: int) -> Period:
    """The one that this moment is in."""
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
    # Longer than any of them; brought back to the first of its month, or of January.
    later = first + timedelta(days=32 if depth == 1 else 367)
    return later.replace(day=1) if depth == 1 else later.replace(month=1, day=1)
