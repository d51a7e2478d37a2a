"""The time in the zones of the IANA database, and times from one zone in another."""

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


class TimeRefused(ValueError):
    """Its text tells the model what to change."""


def now(zone: str) -> str:
    """The present time in `zone`, with its weekday and its offset from UTC."""
    return _said(datetime.now(UTC).astimezone(_zone(zone)))


def convert(time: str, from_zone: str, to_zone: str) -> str:
    """`time` (ISO 8601) in `to_zone`; an offset in `time` counts for more than `from_zone`."""
    source, target = _zone(from_zone), _zone(to_zone)
    try:
        parsed = datetime.fromisoformat(time)
        start = parsed if parsed.tzinfo else parsed.replace(tzinfo=source)
        converted = start.astimezone(target)
        note = "" if parsed.tzinfo else _clock_change(start, from_zone)
    except (ValueError, OverflowError):
        raise TimeRefused("Write the time like 2026-03-29T14:30, from year 1 to 9999.") from None
    return _said(converted) + note


def _clock_change(start: datetime, zone: str) -> str:
    """A sentence where the clocks of the zone show this time twice or never."""
    first, second = start.replace(fold=0).utcoffset(), start.replace(fold=1).utcoffset()
    if first == second:
        return ""
    if start.astimezone(UTC).astimezone(start.tzinfo).replace(tzinfo=None) != start.replace(
        tzinfo=None
    ):
        return f" The clocks in {zone} never show the given time on that day: they skip it."
    return f" The clocks in {zone} show the given time twice on that day; the first is taken."


def _said(time: datetime) -> str:
    return f"{time.isoformat(timespec='seconds')} ({time:%A}, {time.tzname()})"


def _zone(name: str) -> ZoneInfo:
    # Looked up in the list first: ZoneInfo opens a file of that name.
    if name not in _zones():
        raise TimeRefused("Name a zone of the IANA database, such as Europe/Berlin or UTC.")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
